"""BraTS: ``<subject>_flair.nii.gz`` (to 2021), ``<subject>-t2f.nii.gz`` (from 2023)."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from mmccd.data.formats import stem
from mmccd.data.layouts.listing import Entry, Layout, Listing, nifti_files, preferred
from mmccd.data.layouts.names import BRAIN, MASKS, role_of, subject_and_role, weightings_in
from mmccd.data.layouts.words import words_of

_VISIT = re.compile(r"(?P<subject>.+[_-]T\d)[_-]T[12]", re.IGNORECASE)


def _entries(files: Iterable[Path]) -> dict[Path, Entry | None]:
    """Each file with what its name says of it; None where it is none of a BraTS cohort."""
    paths = list(files)
    # "P7_T2_T1": a T1 of the second visit. Then "P7_T2_FLAIR" beside it is of that visit, too.
    visits: dict[Path, set[str]] = {}
    for path in paths:
        if found := _VISIT.fullmatch(stem(path)):
            visits.setdefault(path.parent, set()).add(found["subject"])
    return {path: _entry(path, visits.get(path.parent, set())) for path in paths}


def _entry(path: Path, visits: Collection[str]) -> Entry | None:
    name = stem(path)
    for visit in _beginnings(name) if visits else ():
        if visit in visits:
            role = role_of(Path(f"{name[len(visit) + 1 :]}.nii"))
            return Entry(visit, role, path) if role else None
    subject, role = subject_and_role(name)
    # "T1_N4_brain" is a skull-stripped T1, not the brain mask of a subject "T1_N4".
    if not subject or role is None or weightings_in(subject) or name[len(subject)] not in "_-":
        return None
    stripped = role not in MASKS and BRAIN in words_of(name[len(subject) :])  # or its mask: nobody can tell
    return None if stripped else Entry(subject, role, path)


def _detect(root: Path) -> bool:
    files = _entries(nifti_files(root, 2))
    entries = [entry for entry in files.values() if entry]
    folders: dict[str, set[Path]] = {}
    for entry in entries:
        folders.setdefault(entry.subject, set()).add(entry.path.parent)
    # sub1/my_flair.nii.gz, sub2/my_flair.nii.gz: the subject is the folder, not "my".
    own = any(len(where) == 1 or any(f.name == name for f in where) for name, where in folders.items())
    images = any(entry.role not in MASKS for entry in entries)  # else "a_brain", "b_brain" may be stripped scans
    owners = _owners(entries)
    strangers = [path for path, entry in files.items() if not entry and not _is_of_known(path, owners)]
    return own and images and len(entries) > len(strangers)


def _read(root: Path) -> Listing:
    files = _entries(nifti_files(root, 2))
    entries, unused = preferred(entry for entry in files.values() if entry)
    listing, owners = Listing(entries, unused=unused), _owners(entries)
    strays: dict[str, list[str]] = {}
    for path in (path for path, entry in files.items() if not entry):
        near, top = owners.get(path.parent, set()), path.parent == root
        if role_of(path) is None or _is_of_known(path, owners) or (len(near) == 1 and not top):
            listing.unused.append(path)
        else:  # perhaps a subject, which would be missed
            strays.setdefault(stem(path) if near or top else path.parent.name, []).append(path.name)
    for name, stray in strays.items():
        listing.problems[name] = f"{', '.join(stray)} not named <subject>_<modality> as in the brats layout"
    return listing


def _owners(entries: Iterable[Entry]) -> dict[Path, set[str]]:
    owners: dict[Path, set[str]] = {}
    for entry in entries:
        owners.setdefault(entry.path.parent, set()).add(entry.subject)
    return owners


def _is_of_known(path: Path, owners: dict[Path, set[str]]) -> bool:
    """Whether a name begins with a subject of its folder: one of its further files."""
    known = owners.get(path.parent, set())
    return any(name in known for name in _beginnings(stem(path)))


def _beginnings(name: str) -> list[str]:
    """What stands before each of its marks, the longest first: one of them may be a subject, of however many."""
    return [name[:place] for place in range(len(name) - 1, 0, -1) if name[place] in "_-"]


LAYOUT = Layout(_detect, _read, "<subject>/<subject>_{flair,t1,t1ce,t2,seg}.nii.gz, or -t2f, -t1n, ...")
