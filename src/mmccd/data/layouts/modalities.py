"""A folder per modality: ``IXI-T1/IXI002-T1.nii.gz``, ``Test/site/{flair,mask,seg}/case.nii.gz``."""

from pathlib import Path

from mmccd.data.formats import stem
from mmccd.data.layouts.listing import Entry, Layout, Listing, by_folder, parts_above, preferred
from mmccd.data.layouts.names import (
    BRAIN,
    LESION,
    MASKS,
    is_mask,
    named_otherwise,
    role_of,
    subject_and_role,
    weightings_in,
)

_DEPTH = 3


def _roles(folders: dict[Path, list[Path]], root: Path) -> dict[Path, str]:
    """What each folder holds by its name. A plain ``mask`` is of the brain where others hold outlines of lesions."""
    below = [folder for folder in folders if folder != root]
    named = {folder: subject_and_role(folder.name)[1] for folder in below}
    if LESION in named.values():
        named |= {folder: BRAIN for folder in below if not named[folder] and is_mask(Path(f"{folder.name}.nii"))}
    roles = {folder: role for folder, role in named.items() if role}
    return {folder: role for folder, role in roles.items() if not roles.keys() & {*folder.parents}}


def _detect(root: Path) -> bool:
    if not root.is_dir():
        return False
    folders = by_folder(root, _DEPTH)
    roles = _roles(folders, root)
    images = {folder: role for folder, role in roles.items() if role not in MASKS}
    fits = all(not named_otherwise(path, role) for folder, role in images.items() for path in folders[folder])
    others = [path for folder, paths in folders.items() if folder not in roles for path in paths]
    return bool(images) and fits and not any(role_of(path) for path in others)


def _read(root: Path) -> Listing:
    folders = by_folder(root, _DEPTH)
    roles, parts = _roles(folders, root), parts_above(folders, root)
    # P1/T1/scan.nii.gz, P2/T1/scan.nii.gz: a subject per folder above, else a subject per file.
    single = len({folder.parent for folder in roles}) > 1 and all(len(folders[folder]) == 1 for folder in roles)
    entries: list[Entry] = []
    splits: dict[str, str] = {}
    for folder, role in roles.items():
        heads = {path: subject_and_role(stem(path))[0] for path in folders[folder]}
        plain = [path for path, head in heads.items() if not weightings_in(head)]
        for path in plain or folders[folder]:  # "FLAIR_orig" is no subject beside "FLAIR"
            meant = role if role in MASKS or not is_mask(path) else role_of(path)
            subject = folder.parent.resolve().name if single or not heads[path] else heads[path]
            entries += [Entry(subject, meant, path)] if meant else []
            if folder in parts:
                splits[subject] = parts[folder]
    kept, _ = preferred(entries)
    used = {entry.path for entry in kept}
    return Listing(kept, splits, unused=[path for paths in folders.values() for path in paths if path not in used])


LAYOUT = Layout(_detect, _read, "<modality>/<subject>.nii.gz, a folder per modality, also several folders deep")
