"""How results were made: what has to be the same for the scores and volumes of two cases to be compared."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from mmccd.system.files import read_record

_PARTS = {
    "version": "version of mmccd",
    "model": "model",
    "runtime": "runtime",
    "threshold": "threshold",
    "min_lesion_ml": "smallest finding in ml",
}
"""Of an origin, and what they are called; files of scans are each case's own."""
_SHORT = 12  # of a digest


def recipe_of(origin: Mapping[str, Any]) -> dict[str, str]:
    """What of an origin has to be the same; empty where a version did not say it."""
    return {part: str(origin.get(part, "0" if part == "min_lesion_ml" else "")) for part in _PARTS}


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """In which parts two origins differ, in words; empty where they do not.

    Example:
        >>> differences({"version": "1", "model": "a"}, {"version": "1", "model": "b"})
        'model a, not b'
    """
    one, other = recipe_of(there), recipe_of(here)
    return "; ".join(
        f"{called} {_shown(part, one[part])}, not {_shown(part, other[part])}"
        for part, called in _PARTS.items()
        if one[part] != other[part]
    )


def made_otherwise(folder: Path, origin: Mapping[str, Any], replaced: Collection[str]) -> str:
    """A case of a folder of results that was made otherwise and would stay, and how; empty where there is none.

    As no run leaves two kinds of results in a folder, one of them tells of all.

    Args:
        folder: Of the results; it need not be there.
        origin: Of the results that are to be added.
        replaced: Cases that are going to be scored again.
    """
    for case in _cases(folder):
        record = None if case in replaced else read_record(folder / f"{case}.json")
        if record is not None and record.get("case") == case and isinstance(record.get("origin"), dict):
            how = differences(record["origin"], origin)
            return f"{case}, made by another recipe ({how})" if how else ""
    return ""


def mixture(origins: Iterable[Mapping[str, Any]]) -> str:
    """What is wrong with results that were made in several ways, in words; empty where they were made in one."""
    found = Counter(tuple(recipe_of(origin).items()) for origin in origins)
    if len(found) < 2:
        return ""
    (most, _), (other, count) = found.most_common(2)
    more = f", and {len(found) - 2} more ways" if len(found) > 2 else ""
    how = differences(dict(other), dict(most))
    return f"results made in {len(found)} ways lie here: {count} of {found.total()} by {how}{more}"


def _cases(folder: Path) -> Iterable[str]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".json") and not entry.name.startswith("."):
                yield entry.name.removesuffix(".json")


def _shown(part: str, value: str) -> str:
    if part == "model":
        return value[:_SHORT] or "unknown"
    return f"{value!r}" if part == "threshold" else value or "unknown"
