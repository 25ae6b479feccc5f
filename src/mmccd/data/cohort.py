"""Cohorts: which files belong to which subject, in the layouts that people have."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mmccd.data.formats import is_scan_name
from mmccd.data.layouts.entities import Selection
from mmccd.data.layouts.listing import Entry, Listing, nifti_files
from mmccd.data.layouts.names import BRAIN, LESION
from mmccd.data.layouts.registry import LAYOUTS
from mmccd.data.own_folders import NAMES, is_own_dataset, kind_of
from mmccd.data.parts import PARTS, part_name
from mmccd.data.problems import Problem
from mmccd.data.trouble import MEND, ambiguous_id, hint_of_absent, unusable_roles
from mmccd.errors import DataError
from mmccd.system.plain_text import printable

MODALITIES = ("flair", "t1", "t1ce", "t2")
_SAFE_ID = re.compile(r'[^\s.\-/\\:*?"<>|\x00-\x1f]([^/\\:*?"<>|\x00-\x1f]*[^\s./\\:*?"<>|\x00-\x1f])?')
_LONGEST_ID = 150  # bytes; results add up to 40, and disks end at 255


@dataclass(frozen=True)
class Image:
    """One modality of one subject: a NIfTI file, or one channel of a 4D file.

    Attributes:
        path: The file.
        channel: Of a 4D file; None of a 3D one.
        dicom: The DICOM files that it was converted from, in the order of their slices; none where it came as it is.
    """

    path: Path
    channel: int | None = None
    dicom: tuple[Path, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Subject:
    """The files of one subject, by modality name.

    Attributes:
        id: Unique within the cohort; safe as a file name.
        images: Modality name (``flair``, ``t1``, ``t1ce``, ``t2``, ...) to image.
        brain: Brain mask, or None when the scans are skull-stripped.
        lesion: Expert lesion mask (voxels > 0), or None.
        split: ``train``, ``validation`` or ``test`` where the cohort itself says so, else None.
        unusable: Roles whose files cannot be used (a broken link, several runs) and what is wrong: the subject fails
            where they are needed.
    """

    id: str
    images: dict[str, Image]
    brain: Image | None = None
    lesion: Image | None = None
    split: str | None = None
    unusable: Mapping[str, Problem] = field(default_factory=dict)

    @property
    def modalities(self) -> tuple[str, ...]:
        """All that it has, also those that cannot be used: the usual four in their order, then others by name."""
        named = {*self.images, *self.unusable} - {BRAIN, LESION}
        return tuple([name for name in MODALITIES if name in named] + sorted(named - set(MODALITIES)))

    def check_usable(self, *roles: str) -> None:
        """Refuse a subject for the files that are needed.

        Raises:
            DataError: the files for one of the roles cannot be used.
        """
        for problem in (self.unusable[role] for role in roles if role in self.unusable):
            raise DataError(problem.what, problem.hint)


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
        if subject_id in self._by_id:
            return self._by_id[subject_id]
        if subject_id in self.problems:
            raise DataError(f"subject {subject_id} was left out: {self.problems[subject_id].what}", "mend its files")
        some = ", ".join(subject.id for subject in self.subjects[:5]) or "none"
        raise DataError(
            f"{self.root.name} has no subject {subject_id}; it has {len(self.subjects)}: {some}"
            + (", ..." if len(self.subjects) > 5 else ""),
            "check the spelling of the id, capitals included",
        )

    @cached_property
    def _by_id(self) -> dict[str, Subject]:
        return {subject.id: subject for subject in self.subjects}


def read_cohort(root: Path | str, layout: str = "auto", select: Selection | None = None) -> Cohort:
    """Find the subjects of a folder or CSV manifest; files are paired by subject id, and none is opened.

    Args:
        root: Folder of a cohort, or a ``.csv`` or ``.tsv`` manifest.
        layout: A name in ``mmccd.data.layouts.registry.LAYOUTS``, or ``auto`` for the first that fits.
        select: Of several files for one role those with this value of a BIDS entity: ``{"run": "1"}``.

    Raises:
        DataError: the layout is unknown or does not fit, the table is malformed, what is selected is in no name, or
            there is no subject at all.
    """
    root = Path(root)
    if layout != "auto" and layout not in LAYOUTS:
        raise DataError(f"unknown layout {layout!r}", f"choose one of auto, {', '.join(LAYOUTS)}")
    _check_root(root)
    try:
        name = _detect(root) if layout == "auto" else layout
        listing = _read(root, name, select or {})
    except OSError as error:
        raise DataError(
            f"cannot list {error.filename or root}: {error.strerror or error}",
            "check that you may read this folder",
        ) from error
    return _assemble(root, name, listing)


def modalities_of(cohort: Cohort) -> tuple[str, ...]:
    """Modalities that every subject has, be they usable or not: the usual four in their order, then others by name."""
    every = [subject.modalities for subject in cohort.subjects]
    return tuple(name for name in (every[0] if every else ()) if all(name in one for one in every))


def all_healthy(subjects: Iterable[Subject]) -> bool:
    """Whether no subject has a lesion mask, not even one that cannot be used."""
    return all(subject.lesion is None and LESION not in subject.unusable for subject in subjects)


def _check_root(root: Path) -> None:
    if not root.exists():
        usual = "give the folder that holds the subjects, or a .csv manifest"
        raise DataError(f"{root} does not exist", hint_of_absent(root) or usual)
    if root.is_file() and is_scan_name(root.name):
        raise DataError(
            f"{root.name} is a single image, not a cohort",
            "`mmccd predict` takes files directly; here give a folder",
        )
    if root.is_file() and root.suffix.lower() not in (".csv", ".tsv"):
        raise DataError(f"{root.name} is not a cohort", "give a folder, or a manifest that ends in .csv or .tsv")
    if is_own_dataset(root):  # its maps are named as scans are
        raise DataError(f"{root} holds {NAMES['derivatives']}, which is not a cohort", "give the dataset of the scans")


def _detect(root: Path) -> str:
    for name, layout in LAYOUTS.items():
        if layout.detect(root):
            return name
    if kind := kind_of(root):
        raise DataError(f"{root} holds {NAMES[kind]}, which is not a cohort", "give the folder of the scans")
    if not any(True for _ in nifti_files(root, 3)):
        raise DataError(f"{root} holds no NIfTI scan", "give the folder of the scans")
    raise DataError(f"{root} fits none of the layouts {', '.join(LAYOUTS)}", _expectations())


def _read(root: Path, name: str, select: Selection) -> Listing:
    if root.is_file() != (name == "csv"):
        raise DataError(
            f"layout {name} does not fit {root.name}, a {'file' if root.is_file() else 'folder'}",
            f"{name} expects {LAYOUTS[name].expects}; leave the layout to auto",
        )
    layout = LAYOUTS[name]
    if select and layout.chooser is None:
        raise DataError(
            f"layout {name} has no entities to select by, only bids has", "leave --select out, or write a CSV manifest"
        )
    listing = layout.chooser.read(root, select) if select and layout.chooser else layout.read(root)
    if not listing.entries and not listing.problems and not listing.lacking:
        raise DataError(f"{root} has no subject in the layout {name}", _expectations(name))
    return listing


def _expectations(name: str | None = None) -> str:
    wanted = {name: LAYOUTS[name]} if name else LAYOUTS
    return "expected " + "; or ".join(f"{layout.expects} ({name})" for name, layout in wanted.items())


def _assemble(root: Path, layout: str, listing: Listing) -> Cohort:
    grouped: dict[str, list[Entry]] = {name: [] for name in listing.problems}
    for entry in _without_repeats(listing.entries):
        grouped.setdefault(entry.subject, []).append(entry)
    lacking: dict[str, dict[str, str]] = {}
    for (name, role), why in listing.lacking.items():
        grouped.setdefault(name, [])
        lacking.setdefault(name, {})[role] = why
    chooser = LAYOUTS[layout].chooser
    problems: dict[str, Problem] = {}
    subjects = []
    shared, spelled = _shared_images(grouped), Counter(name.casefold() for name in grouped)
    for name, entries in sorted(grouped.items()):
        reason = listing.problems.get(name) or unsafe_id(name) or ambiguous_id(entries)
        if spelled[name.casefold()] > 1:
            reason = (
                reason or "another id differs in capitals only, so results would overwrite each other on some disks"
            )
        if reason:
            problems[printable(name)] = Problem(printable(name), reason, MEND)
            continue
        found = unusable_roles(entries, lacking.get(name, {}), chooser.remedy if chooser else None)
        unusable = {role: Problem(name, what, MEND) for role, what in shared.get(name, {}).items()}
        unusable |= {role: Problem(name, what, hint) for role, (what, hint) in found.items()}
        subject = _subject(name, entries, _part(name, listing.splits.get(name)), unusable)
        if subject.images:
            subjects.append(subject)
        else:
            problems[name] = _no_image(subject)
    return Cohort(root, layout, tuple(subjects), dict(sorted(problems.items())), tuple(sorted(listing.unused)))


def _no_image(subject: Subject) -> Problem:
    of_images = [subject.unusable[name] for name in subject.modalities]
    if not of_images:
        return Problem(subject.id, "it has no image, only masks", MEND)
    return Problem(subject.id, "; ".join(dict.fromkeys(problem.what for problem in of_images)), of_images[0].hint)


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # too long, or no name at all
        return str(path)


def _without_repeats(entries: Iterable[Entry]) -> Iterable[Entry]:
    """One file that a link lets us see twice is still one file."""
    return {(entry.subject, entry.role, _real(entry.path), entry.channel): entry for entry in entries}.values()


def _shared_images(grouped: dict[str, list[Entry]]) -> dict[str, dict[str, str]]:
    """By subject and role: images that are also another modality or another subject's, and why they are refused."""
    uses: dict[tuple[str, int | None], list[Entry]] = {}
    for entry in (entry for entries in grouped.values() for entry in entries):
        if entry.role not in (BRAIN, LESION):
            uses.setdefault((_real(entry.path), entry.channel), []).append(entry)
    found: dict[str, dict[str, str]] = {}
    for used in (used for used in uses.values() if len(used) > 1):
        named = " and as ".join(f"{use.role} of {use.subject}" for use in used[:3])
        for entry in used:
            found.setdefault(entry.subject, {})[entry.role] = f"{entry.path.name} is given twice, as {named}"
    return found


def _subject(name: str, entries: Iterable[Entry], part: str | None, unusable: Mapping[str, Problem]) -> Subject:
    images = {entry.role: Image(entry.path, entry.channel) for entry in entries if entry.role not in unusable}
    brain, lesion = images.pop(BRAIN, None), images.pop(LESION, None)
    usual = {modality: images[modality] for modality in MODALITIES if modality in images}
    return Subject(name, usual | dict(sorted(images.items())), brain, lesion, part, unusable)


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
