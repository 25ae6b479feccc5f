"""One regular expression for many names, which costs a text about the same however many they are."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby, takewhile

_DEEPEST = 50
"""Groups within groups; `re` takes some hundreds, and only names that were made to do so share as many beginnings."""


def any_of(names: Iterable[str]) -> str:
    """A pattern for the longest of these names, for ``re.IGNORECASE``; of none, one that nothing fits.

    What names have in common is looked at once: ``Ann``, ``Anna`` and ``Joe`` become ``(?:ann(?:a)?|joe)``.
    """
    found = sorted({_lower(name) for name in names})
    return _branch(found, _DEEPEST) if found else r"(?!)"


def _branch(names: Sequence[str], depth: int) -> str:
    """Of sorted names, all different."""
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(names[0], names[-1], strict=False))
    common = "".join(char for char, _ in alike)
    rest = [name[len(common) :] for name in names]
    ends = not rest[0]
    if ends:
        del rest[0]
    if not rest:
        return re.escape(common)
    if depth:
        options = [_branch(list(some), depth - 1) for _, some in groupby(rest, key=lambda name: name[0])]
    else:
        options = [re.escape(name) for name in sorted(rest, key=len, reverse=True)]
    return f"{re.escape(common)}(?:{'|'.join(options)}){'?' if ends else ''}"


def _lower(name: str) -> str:
    """As `re` compares: one character for one, so that some keep their form."""
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in name)
