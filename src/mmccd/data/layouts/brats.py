"""BraTS: ``<subject>_flair.nii.gz`` (to 2021), ``<subject>-t2f.nii.gz`` (from 2023)."""

import re
from pathlib import Path

from mmccd.data.layouts.listing import Entry, Layout, Listing, nifti_files
from mmccd.data.layouts.names import MASKS, ROLES, role_of
from mmccd.data.nifti import stem

_BRATS_NAME = re.compile(
    rf"(?P<id>.+?)[_-](?P<role>{'|'.join(ROLES)})(?P<mask>[_-](mask|seg|segm|segmentation|label|roi))?", re.IGNORECASE
)


def _brats_entry(path: Path) -> Entry | None:
    match = _BRATS_NAME.fullmatch(stem(path))
    if match is None:
        return None
    subject, role = match["id"], ROLES[match["role"].lower()]
    if match["mask"] and role not in MASKS:
        return None
    # "T1_N4_brain" is a skull-stripped T1, not the brain mask of a subject "T1_N4".
    images = {word for word, name in ROLES.items() if name not in MASKS}
    return None if images & set(re.split(r"[_\-. ]+", subject.lower())) else Entry(subject, role, path)


def _detect(root: Path) -> bool:
    files = list(nifti_files(root, 2))
    entries = [entry for entry in map(_brats_entry, files) if entry]
    folders: dict[str, set[Path]] = {}
    for entry in entries:
        folders.setdefault(entry.subject, set()).add(entry.path.parent)
    # sub1/my_flair.nii.gz, sub2/my_flair.nii.gz: the subject is the folder, not "my".
    own = any(len(where) == 1 or any(f.name == name for f in where) for name, where in folders.items())
    images = any(entry.role not in MASKS for entry in entries)  # else "a_brain", "b_brain" may be stripped scans
    return own and images and 2 * len(entries) > len(files)


def _read(root: Path) -> Listing:
    files = {path: _brats_entry(path) for path in nifti_files(root, 2)}
    listing = Listing([entry for entry in files.values() if entry])
    owners: dict[Path, set[str]] = {}
    for entry in listing.entries:
        owners.setdefault(entry.path.parent, set()).add(entry.subject)
    strays: dict[str, list[str]] = {}
    for path in (path for path, entry in files.items() if not entry):
        near, top = owners.get(path.parent, set()), path.parent == root
        of_known = stem(path).startswith(tuple(name + mark for name in near for mark in "_-"))
        if role_of(path) is None or of_known or (len(near) == 1 and not top):
            listing.unused.append(path)
        else:  # perhaps a subject, which would be missed
            strays.setdefault(stem(path) if near or top else path.parent.name, []).append(path.name)
    for name, stray in strays.items():
        listing.problems[name] = f"{', '.join(stray)} not named <subject>_<modality> as in the brats layout"
    return listing


LAYOUT = Layout(_detect, _read, "<subject>/<subject>_{flair,t1,t1ce,t2,seg}.nii.gz, or -t2f, -t1n, ...")
