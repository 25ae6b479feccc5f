"""What a page of numbered cases calls them, and what it must not say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mmccd.data.problems import Problem
from mmccd.data.pseudonyms import Redaction


@dataclass(frozen=True)
class Secrets:
    """Names that a page of numbered cases must not hold, and what stands in their place."""

    cases: Mapping[str, str]
    files: Mapping[str, str]

    @cached_property
    def redact(self) -> Redaction:
        """Takes them out of a message."""
        return Redaction(self.cases, self.files)

    def redacted(self, problem: Problem) -> Problem:
        """A problem without them."""
        return Problem(self.cases[problem.subject], self.redact(problem.what), self.redact(problem.hint))


def names_of_cases(cases: Iterable[str], *, anonymize: bool) -> dict[str, str]:
    """What each case is called on the page: by its name, or by its number in the order of names."""
    cases = sorted(cases)
    if not anonymize:
        return {case: case for case in cases}
    digits = max(2, len(str(len(cases))))
    return {case: f"case {index:0{digits}d}" for index, case in enumerate(cases, start=1)}
