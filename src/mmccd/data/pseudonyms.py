"""Random names in place of those of patients, and the private table that leads back.

The names are drawn, not computed: a digest of a name or of a hospital number is found again by trying all of them.
"""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from mmccd.data.cohort import Cohort, Image
from mmccd.data.formats import SCAN_SUFFIXES, stem
from mmccd.data.problems import Problem
from mmccd.errors import ConfigError
from mmccd.system.files import read_record, remove_partial, write_json
from mmccd.system.locks import one_at_a_time

_NAME = re.compile(r"case-[0-9a-f]{8}")
_Branch: TypeAlias = dict[str, "_Branch"]
"""Names by their characters, one after the other; the empty one is the end of a name."""
UNUSABLE = "cannot be used; `mmccd validate` says why"


def pseudonyms(key: Path, cases: Iterable[str], *, outside: Path) -> dict[str, str]:
    """The names of all cases, as ``case-`` and 8 hexadecimal digits; drawn for those that the key does not have.

    Several processes may extend one key at a time.

    Args:
        key: JSON file, case to name: made where there is none, extended where a case is new. It is readable by its
            owner only, and leads from every result back to its patient.
        cases: Ids that are to be hidden.
        outside: Folder of the results, in which the key must not lie.

    Raises:
        ConfigError: the key lies among the results, or is no key.
        DataError: the key cannot be written.
    """
    if key.resolve().is_relative_to(outside.resolve()):
        raise ConfigError(f"the key {key} lies among the results that it opens", "keep it in another folder")
    wanted = list(dict.fromkeys(cases))
    names = _read(key)
    if not names.keys() >= set(wanted):  # else nothing is written: the key may lie where nobody may write
        with one_at_a_time(key.parent, key.name, wait=True):
            remove_partial(key.parent, key.name)
            names = _extended(_read(key), wanted)
            write_json(key, names, mode=0o600)
    return {case: names[case] for case in wanted}


def _read(key: Path) -> dict[str, str]:
    if not key.exists():
        return {}
    found = read_record(key)
    values = list(found.values()) if found is not None else []
    if found is None or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in values):
        raise ConfigError(f"{key} is no table of cases and their names", "give a file that --anonymize wrote")
    if len(set(values)) < len(values):
        raise ConfigError(f"{key} gives one name to two cases", "mend it, or begin with another file")
    return found


def _extended(names: dict[str, str], cases: Iterable[str]) -> dict[str, str]:
    names, taken = dict(names), set(names.values())
    for case in cases:
        while case not in names:
            name = f"case-{secrets.token_hex(4)}"
            if name not in taken:
                names[case] = name
                taken.add(name)
    return names


def with_pseudonyms(cohort: Cohort, key: Path, *, outside: Path) -> tuple[Cohort, dict[str, str]]:
    """The same cohort under other ids, and these by id.

    Reasons why a subject was left out, which hold names, are left out, too.
    """
    names = pseudonyms(key, [*(subject.id for subject in cohort.subjects), *cohort.problems], outside=outside)
    subjects = []
    for subject in cohort.subjects:
        unusable = {role: Problem(names[subject.id], UNUSABLE) for role in subject.unusable}
        subjects.append(replace(subject, id=names[subject.id], unusable=unusable))
    subjects.sort(key=lambda subject: subject.id)
    problems = {names[case]: Problem(names[case], UNUSABLE) for case in cohort.problems}
    return replace(cohort, subjects=tuple(subjects), problems=problems), names


def redact(text: str, cases: Mapping[str, str], files: Mapping[str, str]) -> str:
    """A message without the names of cases and of files, for results that people share; see `Redaction`."""
    return Redaction(cases, files)(text)


@dataclass(frozen=True)
class Redaction:
    """Takes names out of messages; what it searches for is put together once, for any number of messages.

    Attributes:
        cases: What each case is called instead. A case is a word of its own, or "1" would be found in every number.
        files: What each known file is called instead, by its path, its name or its name without its suffix. Others that
            end as scans do and begin with a case, or hold no space, become "a file".
    """

    cases: Mapping[str, str]
    files: Mapping[str, str]

    def __call__(self, text: str) -> str:
        """The message without them."""
        return self._pattern.sub(self._instead, text)  # at once: what is put in is left as it is

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        known, words = any_of(self.files), any_of(self.cases)
        suffix, whole = f"(?:{'|'.join(map(re.escape, SCAN_SUFFIXES))})", r"(?<![^\W_])(?P<{}>{})(?![^\W_])"
        file = rf"\S{{0,999}}(?:{words})\S{{0,999}}{suffix}|(?<!\S)(?!{_NAME.pattern})\S{{1,999}}{suffix}"
        return re.compile(f"{whole.format('known', known)}|{file}|{whole.format('case', words)}", re.IGNORECASE)

    @cached_property
    def _hidden(self) -> dict[str, str]:
        return {case.casefold(): shown for case, shown in self.cases.items()}

    def _instead(self, found: re.Match[str]) -> str:
        if found["known"]:
            return self.files.get(found["known"], "a file")  # in other capitals it is another file
        # Upper and lower case of a Turkish i are found as one letter, and are two for `casefold`.
        return self._hidden.get(found["case"].casefold(), "a case") if found["case"] else "a file"


def names_of_files(images: Mapping[str, Image | None], name: str) -> dict[str, str]:
    """The ways in which a message may name the files of one case, and ``name (flair)`` and so on in their place.

    Args:
        images: Files by what they are; None where there is none.
        name: What the case is called.
    """
    found: dict[str, str] = {}
    for role, image in images.items():
        if image is not None:
            place = f"{name} ({role})"
            found |= {str(image.path): place, str(image.path.resolve()): place, image.path.name: place}
            found.setdefault(stem(image.path), place)
    return found


def any_of(names: Iterable[str]) -> str:
    """A pattern for the longest of these names, however many there are; of none, one that fits nothing.

    Names that begin alike share that part of the pattern: tried one after the other, thousands take long for each
    message. It is to be used without regard to capitals.
    """
    root: _Branch = {}
    for name in names:
        branch = root
        for char in name:
            lower = char.lower()
            branch = branch.setdefault(lower if len(lower) == 1 else char, {})
        branch[""] = {}
    return _pattern_of(root)[0] if root else r"(?!)"


def _pattern_of(branch: _Branch) -> tuple[str, int]:
    """The pattern of what follows, and the longest it may be; a chain of single characters is one piece."""
    chain = ""
    while len(branch) == 1 and "" not in branch:
        ((char, branch),) = branch.items()
        chain += re.escape(char)
    rest = []
    for char, following in branch.items():
        if char:
            pattern, longest = _pattern_of(following)
            rest.append((re.escape(char) + pattern, 1 + longest))
    rest.sort(key=lambda one: -one[1])
    if not rest:
        return chain, len(chain)
    end = "?" if "" in branch else ""
    return f"{chain}(?:{'|'.join(one for one, _ in rest)}){end}", len(chain) + rest[0][1]
