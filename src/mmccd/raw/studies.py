"""Studies of an export: which series belong to one, and what each is called."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mmccd.data.cohort import unsafe_id
from mmccd.data.problems import Problem
from mmccd.raw.series import Series

OWN_FOLDER = "give each study a folder of its own"


def studies_of(series: Sequence[Series]) -> list[list[Series]]:
    """Series of one person and one study together, in the order in which they come."""
    found: dict[tuple[str, str], list[Series]] = {}
    for one in series:
        found.setdefault((one.first.person, one.first.study), []).append(one)
    return list(found.values())


def names_of(root: Path, studies: Sequence[Sequence[Series]]) -> list[str | Problem]:
    """What each study is called: as the folder given, or as the outermost one below that holds this study alone.

    A folder within another is named by both, ``P1_visit2``. What is no scan that can be used, such as a screenshot,
    makes no folder one of two studies.
    """
    home = root.resolve() if root.is_dir() else root.resolve().parent
    if len(studies) == 1:
        return [_safe(home.name)]
    below = [{path.parent.relative_to(root).parts for path in _files(study)} for study in studies]
    # Of each folder, how many studies lie in it or further below.
    shared = Counter(
        place for mine in below for place in {folder[:n] for folder in mine for n in range(len(folder) + 1)}
    )
    places = [_own_folder(mine, shared) for mine in below]
    names = [None if place is None else _safe("_".join(place)) for place in places]
    often = Counter(name.casefold() for name in names if name is not None)
    persons = len({study[0].first.person for study in studies})
    mixed = f"{len(studies)} studies, of {persons} persons, lie in it mixed"
    found: list[str | Problem] = []
    for number, name in enumerate(names, start=1):
        if name is None:
            found.append(Problem(f"{_safe(home.name)}_{number}", mixed, OWN_FOLDER))
        elif often[name.casefold()] > 1:
            what = f"several studies would be called {name}, as their folders are"
            found.append(Problem(f"{name}_{number}", what, "give their folders other names"))
        else:
            found.append(name)
    return found


def _files(study: Sequence[Series]) -> list[Path]:
    usable = [series for series in study if not series.trouble] or study
    return [path for series in usable for path in series.files]


def _own_folder(mine: Collection[tuple[str, ...]], shared: Mapping[tuple[str, ...], int]) -> tuple[str, ...] | None:
    """The parts of the outermost folder that holds all of ``mine`` and no other study; None where none does."""
    for place in _above(next(iter(mine))):
        if shared[place] == 1:
            return place if all(folder[: len(place)] == place for folder in mine) else None
    return None


def _above(folder: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The folder and those that it lies in, from the outermost."""
    return [folder[:depth] for depth in range(1, len(folder) + 1)]


def _safe(name: str) -> str:
    plain = re.sub(r"[^\w.+-]+", "_", name).strip("._-") or "scan"
    return "scan" if unsafe_id(plain) else plain
