"""Any folders: one per subject, or one subject."""

from pathlib import Path

from mmccd.data.layouts.listing import Entry, Layout, Listing, nifti_files
from mmccd.data.layouts.names import role_of
from mmccd.data.nifti import stem


def _detect(root: Path) -> bool:
    return root.is_dir() and any(role_of(path) for path in nifti_files(root, 1))


def _read(root: Path) -> Listing:
    inside = [path for path in nifti_files(root, 1) if path.parent != root]
    entries = [Entry(path.parent.name, role, path) for path in inside if (role := role_of(path))]
    own = [Entry(root.resolve().name, role, path) for path in nifti_files(root) if (role := role_of(path))]
    used = {entry.path for entry in (*entries, *own)}
    unused = [path for path in nifti_files(root, 2) if path not in used]  # masks may lie a folder deeper
    if not entries:
        return Listing(own, unused=unused)
    lost = {stem(entry.path): f"{entry.path.name} lies in no subject's folder" for entry in own}
    return Listing(entries, problems=lost, unused=unused)


LAYOUT = Layout(_detect, _read, "one folder per subject, modalities in the names of its files")
