"""Cohorts: which files belong to which subject, in the layouts that people have."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmccd.data.layouts.listing import Entry, Listing, nifti_files
from mmccd.data.layouts.names import BRAIN, LESION
from mmccd.data.layouts.registry import LAYOUTS
from mmccd.data.nifti import is_nifti_name
from mmccd.data.own_folders import NAMES, kind_of
from mmccd.data.parts import PARTS, part_name
from mmccd.data.problems import Problem
from mmccd.errors import DataError, printable

MODALITIES = ("flair", "t1", "t1ce", "t2")
_SAFE_ID = re.compile(r'[^\s.\-/\\:*?"<>|\x00-\x1f]([^/\\:*?"<>|\x00-\x1f]*[^\s./\\:*?"<>|\x00-\x1f])?')
_LONGEST_ID = 150  # bytes; results add up to 40, and disks end at 255
_MEND = "mend or rename its files, or leave it out"


@dataclass(frozen=True)
class Image:
    """One modality of one subject: a NIfTI file, or one channel of a 4D file."""

    path: Path
    channel: int | None = None


@dataclass(frozen=True)
class Subject:
    """The files of one subject, by modality name.

    Attributes:
        id: Unique within the cohort; safe as a file name.
        images: Modality name (``flair``, ``t1``, ``t1ce``, ``t2``, ...) to image.
        brain: Brain mask, or None when the scans are skull-stripped.
        lesion: Expert lesion mask (voxels > 0), or None.
        split: ``train``, ``validation`` or ``test`` where the cohort itself says so, else None.
    """

    id: str
    images: dict[str, Image]
    brain: Image | None = None
    lesion: Image | None = None
    split: str | None = None


@dataclass(frozen=True)
class Cohort:
    """Subjects found in one place, sorted by id.

    Attributes:
        root: Folder or file that was read.
        layout: Name of the layout that was detected or asked for.
        subjects: In order of their ids.
        problems: Subject id to why it was left out.
        unused: NIfTI files that were found and whose names fit no role.
    """

    root: Path
    layout: str
    subjects: tuple[Subject, ...]
    problems: dict[str, Problem]
    unused: tuple[Path, ...] = ()

    def subject(self, subject_id: str) -> Subject:
        """Look a subject up by its id.

        Raises:
            DataError: the cohort has no such subject, or left it out.
        """
        for subject in self.subjects:
            if subject.id == subject_id:
                return subject
        if subject_id in self.problems:
            raise DataError(f"subject {subject_id} was left out: {self.problems[subject_id].what}", "mend its files")
        some = ", ".join(subject.id for subject in self.subjects[:5]) or "none"
        raise DataError(
            f"{self.root.name} has no subject {subject_id}; it has {len(self.subjects)}: {some}"
            + (", ..." if len(self.subjects) > 5 else ""),
            "check the spelling of the id, capitals included",
        )


def read_cohort(root: Path | str, layout: str = "auto") -> Cohort:
    """Find the subjects of a folder or CSV manifest; files are paired by subject id, and none is opened.

    Args:
        root: Folder of a cohort, or a ``.csv`` or ``.tsv`` manifest.
        layout: A name in ``mmccd.data.layouts.registry.LAYOUTS``, or ``auto`` for the first that fits.

    Raises:
        DataError: the layout is unknown or does not fit, the table is malformed, or there is no subject at all.
    """
    root = Path(root)
    if layout != "auto" and layout not in LAYOUTS:
        raise DataError(f"unknown layout {layout!r}", f"choose one of auto, {', '.join(LAYOUTS)}")
    _check_root(root)
    try:
        name = _detect(root) if layout == "auto" else layout
        listing = _read(root, name)
    except OSError as error:
        raise DataError(
            f"cannot list {error.filename or root}: {error.strerror or error}",
            "check that you may read this folder",
        ) from error
    return _assemble(root, name, listing)


def modalities_of(cohort: Cohort) -> tuple[str, ...]:
    """Modalities that every subject has: the usual four in their order, then others by name."""
    if not cohort.subjects:
        return ()
    shared = set.intersection(*(set(subject.images) for subject in cohort.subjects))
    return tuple([name for name in MODALITIES if name in shared] + sorted(shared - set(MODALITIES)))


def _check_root(root: Path) -> None:
    if not root.exists():
        raise DataError(f"{root} does not exist", "give the folder that holds the subjects, or a .csv manifest")
    if root.is_file() and is_nifti_name(root.name):
        raise DataError(
            f"{root.name} is a single image, not a cohort",
            "`mmccd predict` takes files directly; here give a folder",
        )
    if root.is_file() and root.suffix.lower() not in (".csv", ".tsv"):
        raise DataError(f"{root.name} is not a cohort", "give a folder, or a manifest that ends in .csv or .tsv")


def _detect(root: Path) -> str:
    for name, layout in LAYOUTS.items():
        if layout.detect(root):
            return name
    if kind := kind_of(root):
        raise DataError(f"{root} holds {NAMES[kind]}, which is not a cohort", "give the folder of the scans")
    if not any(True for _ in nifti_files(root, 3)):
        raise DataError(f"{root} holds no NIfTI scan", "give the folder of the scans")
    raise DataError(f"{root} fits none of the layouts {', '.join(LAYOUTS)}", _expectations())


def _read(root: Path, name: str) -> Listing:
    if root.is_file() != (name == "csv"):
        raise DataError(
            f"layout {name} does not fit {root.name}, a {'file' if root.is_file() else 'folder'}",
            f"{name} expects {LAYOUTS[name].expects}; leave the layout to auto",
        )
    listing = LAYOUTS[name].read(root)
    if not listing.entries and not listing.problems:
        raise DataError(f"{root} has no subject in the layout {name}", _expectations(name))
    return listing


def _expectations(name: str | None = None) -> str:
    wanted = {name: LAYOUTS[name]} if name else LAYOUTS
    return "expected " + "; or ".join(f"{layout.expects} ({name})" for name, layout in wanted.items())


def _assemble(root: Path, layout: str, listing: Listing) -> Cohort:
    grouped: dict[str, list[Entry]] = {name: [] for name in listing.problems}
    for entry in _without_repeats(listing.entries):
        grouped.setdefault(entry.subject, []).append(entry)
    problems = {}
    subjects = []
    shared, spelled = _shared_images(grouped), Counter(name.casefold() for name in grouped)
    for name, entries in sorted(grouped.items()):
        reason = listing.problems.get(name) or unsafe_id(name) or _unusable(entries) or shared.get(name)
        if spelled[name.casefold()] > 1:
            reason = (
                reason or "another id differs in capitals only, so results would overwrite each other on some disks"
            )
        if reason:
            problems[printable(name)] = Problem(printable(name), reason, _MEND)
        else:
            subjects.append(_subject(name, entries, _part(name, listing.splits.get(name))))
    return Cohort(root, layout, tuple(subjects), dict(sorted(problems.items())), tuple(sorted(listing.unused)))


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # too long, or no name at all
        return str(path)


def _without_repeats(entries: Iterable[Entry]) -> Iterable[Entry]:
    """One file that a link lets us see twice is still one file."""
    return {(entry.subject, entry.role, _real(entry.path), entry.channel): entry for entry in entries}.values()


def _shared_images(grouped: dict[str, list[Entry]]) -> dict[str, str]:
    """Subjects with an image that is also another modality or another subject's, and the reason to refuse them."""
    uses: dict[tuple[str, int | None], list[Entry]] = {}
    for entry in (entry for entries in grouped.values() for entry in entries):
        if entry.role not in (BRAIN, LESION):
            uses.setdefault((_real(entry.path), entry.channel), []).append(entry)
    return {
        entry.subject: f"{entry.path.name} is given twice, as "
        + " and as ".join(f"{use.role} of {use.subject}" for use in used[:3])
        for used in uses.values()
        if len(used) > 1
        for entry in used
    }


def _subject(name: str, entries: Iterable[Entry], part: str | None) -> Subject:
    images = {entry.role: Image(entry.path, entry.channel) for entry in entries}
    brain, lesion = images.pop(BRAIN, None), images.pop(LESION, None)
    usual = {modality: images[modality] for modality in MODALITIES if modality in images}
    return Subject(name, usual | dict(sorted(images.items())), brain, lesion, part)


def _part(name: str, text: str | None) -> str | None:
    part = part_name(text) if text else None
    if text and part is None:
        raise DataError(f"subject {name} has the split {text!r}", f"allowed: {', '.join(PARTS)}, or an empty cell")
    return part


def unsafe_id(name: str) -> str | None:
    """Why results cannot be named after a subject or scan, or None if they can."""
    short = len(os.fsencode(name)) <= _LONGEST_ID
    if short and name.isprintable() and _SAFE_ID.fullmatch(name):
        return None
    return (
        f"the id {name!r} is not safe as a file name: at most {_LONGEST_ID} bytes, "
        'none of / \\ : * ? " < > |, no control characters, no dot, dash or space in front, no dot or space at the end'
    )


def _unusable(entries: list[Entry]) -> str | None:
    files: dict[str, list[Path]] = {}
    for entry in entries:
        files.setdefault(entry.role, []).append(entry.path)
        if trouble := _trouble(entry.path):
            return trouble
    for role, paths in files.items():
        if len({path.parent for path in paths}) > 1 and role not in (BRAIN, LESION):
            places = " and ".join(_place(path.parent) for path in sorted(paths))
            return f"it has a {role} image in {places}; ids must be unique: rename or remove one of them"
        if len(paths) > 1:
            names = " and ".join(_distinct_names(paths))
            return f"several files for {role}: {names}; keep one, or name it in a CSV manifest"
    return None if set(files) - {BRAIN, LESION} else "it has no image, only masks"


def _trouble(path: Path) -> str | None:
    try:
        if path.is_symlink() and not path.exists():
            return f"{path.name} is a dangling link to {_place(path.readlink())}: fetch its content"
        if path.exists():
            return None if path.is_file() else f"{_place(path)} is not a file"
    except OSError as error:
        return f"{path.name[:50]} cannot be looked up: {error.strerror}"
    return f"{_place(path)} does not exist"


def _distinct_names(paths: list[Path]) -> list[str]:
    same = len({path.name for path in paths}) < len(paths)
    return [_place(path) if same else path.name for path in sorted(paths)]


def _place(path: Path) -> str:
    """Enough of a path to find it in the cohort, and no more: reasons are written into results, which people share."""
    return "/".join(path.parts[-2:])
