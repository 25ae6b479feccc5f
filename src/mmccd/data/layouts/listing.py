"""What a reader of a layout says: "this file is that role of that subject". It names files, and opens no image."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmccd.data.case_record import is_result
from mmccd.data.formats import is_scan_name
from mmccd.data.layouts.entities import Selection
from mmccd.data.layouts.names import preference
from mmccd.data.parts import part_name
from mmccd.errors import DataError


@dataclass(frozen=True)
class Entry:
    """One file (or channel of a file) of one subject; ``role`` is a modality, ``brain`` or ``lesion``."""

    subject: str
    role: str
    path: Path
    channel: int | None = None


@dataclass(frozen=True)
class Listing:
    """What was found.

    Attributes:
        entries: In any order.
        splits: What a table or a folder says of each subject's part.
        problems: Subjects that cannot be used, and why.
        lacking: Subject and role that have no file though there were some, and why.
        unused: Files that are no role of a subject.
    """

    entries: list[Entry] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    lacking: dict[tuple[str, str], str] = field(default_factory=dict)
    unused: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Chooser:
    """How users choose among several files for one role.

    Attributes:
        read: Reads a folder as the layout does, with what is wanted.
        remedy: Says of such files how to choose one.
    """

    read: Callable[[Path, Selection], Listing]
    remedy: Callable[[Sequence[Path]], str]


@dataclass(frozen=True)
class Layout:
    """How one layout is recognised and read; ``expects`` describes it to users, who may choose where names allow it."""

    detect: Callable[[Path], bool]
    read: Callable[[Path], Listing]
    expects: str
    chooser: Chooser | None = None


def nifti_files(folder: Path, depth: int = 0) -> Iterator[Path]:
    """NIfTI files up to ``depth`` folders down, but hidden ones and results of `predict`; links may be broken.

    A folder that is named like a scan and holds none is yielded, so that it is complained about.
    """
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        inside = list(nifti_files(path, depth - 1)) if depth > 0 and path.is_dir() else []
        if inside:
            yield from inside
        elif is_scan_name(path.name) and not is_result(path):
            yield path


def by_folder(root: Path, depth: int) -> dict[Path, list[Path]]:
    """The NIfTI files up to ``depth`` folders down, by the folder that holds them; one that links repeat comes once."""
    found: dict[Path, list[Path]] = {}
    for path in nifti_files(root, depth):
        found.setdefault(path.parent, []).append(path)
    shortest: dict[Path, Path] = {}
    for folder in sorted(found, key=lambda folder: len(folder.parts)):
        shortest.setdefault(folder.resolve(), folder)
    return {folder: paths for folder, paths in found.items() if shortest[folder.resolve()] == folder}


def parts_above(folders: Iterable[Path], root: Path) -> dict[Path, str]:
    """The part of a split that each folder lies in, as ``Train/site`` does; none where there are not several parts."""
    found = {}
    for folder in folders:
        named = [part for name in folder.relative_to(root).parts if (part := part_name(name))]
        if named:
            found[folder] = named[0]
    return found if len(set(found.values())) > 1 else {}


def files_in(folder: Path) -> list[Path]:
    """NIfTI files of a folder that need not be there."""
    return list(nifti_files(folder)) if folder.is_dir() else []


def preferred(entries: Iterable[Entry]) -> tuple[list[Entry], list[Path]]:
    """Of several files for one role of a subject those that are meant by their names, and the others.

    A plain FLAIR goes before ``FLAIR_bias``, a consensus of experts before each of them.
    """
    every = list(entries)
    least: dict[tuple[str, str], int] = {}
    for entry in every:
        key = (entry.subject, entry.role)
        least[key] = min(least.get(key, 9), preference(entry.path))
    kept = [entry for entry in every if preference(entry.path) == least[entry.subject, entry.role]]
    used = {entry.path for entry in kept}
    return kept, [entry.path for entry in every if entry.path not in used]


def check_modality(path: Path, name: str) -> None:
    """Files of a store are named after modalities, so no name may lead out of its folder.

    Raises:
        DataError: it is none.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_+-]*", name):
        raise DataError(
            f"{path.name} has a modality or column {name!r}", "name a modality with letters, digits, _, + and -"
        )
