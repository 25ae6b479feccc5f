"""Any folders: one per subject, also below sites and parts, and with folders of its own inside; or one subject."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from mmccd.data.formats import stem
from mmccd.data.layouts.listing import Entry, Layout, Listing, by_folder, nifti_files, parts_above, preferred
from mmccd.data.layouts.names import MASKS, role_of
from mmccd.data.parts import part_name

_DEPTH = 5
# Folders inside that of a subject, the best images first: pre/ of WMH 2017, Preprocessed_Data/ of MSSEG 2016.
_STAGES = (
    ("pre", "preprocessed", "preprocessed_data", "preproc", "processed", "registered"),
    ("anat", "images", "image", "mri", "mr", "nifti", "nii", "scans", "native"),
    ("orig", "original", "raw", "raw_data", "rawdata"),
)
_OUTLINES = ("masks", "mask", "labels", "label", "seg", "segmentations", "annotations")


def _detect(root: Path) -> bool:
    if not root.is_dir():
        return False
    return any(role_of(path) for path in nifti_files(root, 1)) or bool(_nested(root, by_folder(root, _DEPTH)))


def _read(root: Path) -> Listing:
    folders = by_folder(root, _DEPTH)
    subjects = dict(_subjects(root, folders))
    parts = parts_above(subjects, root)
    listing, found = Listing(), []
    for folder, paths in subjects.items():
        subject = _id(folder, root)
        entries = [Entry(subject, role, path) for path in paths if (role := role_of(path))]
        found += entries
        if folder in parts and entries:
            listing.splits[subject] = parts[folder]
    own = [Entry(root.resolve().name, role, path) for path in folders.get(root, []) if (role := role_of(path))]
    if found:
        listing.problems.update({stem(one.path): f"{one.path.name} lies in no subject's folder" for one in own})
    entries, _ = preferred(found or own)
    listing.entries.extend(entries)
    used = {entry.path for entry in (*entries, *(own if found else []))}
    listing.unused.extend(path for paths in folders.values() for path in paths if path not in used)
    return listing


def _subjects(root: Path, folders: Mapping[Path, list[Path]]) -> Iterator[tuple[Path, list[Path]]]:
    """Each subject's folder with its files: any of the first level, deeper ones where they hold images."""
    nested = _nested(root, folders)
    inside_root = {root} == {*nested}
    for folder, paths in folders.items():
        if folder.parent == root and folder not in nested and not (inside_root and _stage(folder) is not None):
            yield folder, paths
    yield from nested.items()


def _nested(root: Path, folders: Mapping[Path, list[Path]]) -> dict[Path, list[Path]]:
    """Folders that hold images, themselves or in their stages, with the files that count."""
    stages: dict[Path, dict[int, list[Path]]] = {}
    for folder, paths in folders.items():
        if folder != root and (stage := _stage(folder)) is not None:
            stages.setdefault(folder.parent, {}).setdefault(stage, []).extend(paths)
    found = {}
    for folder in sorted({*folders, *stages}):
        direct, inside = folders.get(folder, []), stages.get(folder, {})
        best = next((paths for stage, paths in sorted(inside.items()) if _images(paths)), [])
        if folder != root and _stage(folder) is not None:
            continue
        if _images(direct):
            if folder != root:  # beside folders of subjects its images are strays
                found[folder] = direct
        elif best:
            outlines = [path for path in inside.get(len(_STAGES), []) if role_of(path) in MASKS]
            found[folder] = [*direct, *best, *outlines]
    beside = any(folder.parent == root and _stage(folder) is None and _images(folders[folder]) for folder in folders)
    if root in found and (beside or len(found) > 1):  # "raw" beside "reference": subjects of their own
        del found[root]
    return found


def _stage(folder: Path) -> int | None:
    """Which kind of a subject's inner folder this is by its name; None for any other."""
    name = folder.name.lower()
    return next((stage for stage, names in enumerate((*_STAGES, _OUTLINES)) if name in names), None)


def _images(paths: list[Path]) -> bool:
    return any(role_of(path) not in (None, *MASKS) for path in paths)


def _id(folder: Path, root: Path) -> str:
    """The folder's name, behind those of the folders above it that are no part of a split."""
    if folder == root:
        return root.resolve().name
    *above, name = folder.relative_to(root).parts
    return "_".join([*(one for one in above if not part_name(one)), name])


LAYOUT = Layout(_detect, _read, "one folder per subject, modalities in the names of its files")
