"""BIDS: ``sub-XX[/ses-YY]/anat``, masks there or in derivatives."""

import re
from pathlib import Path

from mmccd.data.layouts.listing import Entry, Layout, Listing, nifti_files
from mmccd.data.layouts.names import BRAIN, LESION
from mmccd.data.nifti import stem
from mmccd.data.tables import read_table

_BIDS_IMAGE = re.compile(r"(?P<key>sub-[^_]+(_ses-[^_]+)?)_(?P<rest>(.+_)?)(?P<suffix>FLAIR|T1w|T2w)")
_BIDS_MASK = re.compile(r"(?P<key>sub-[^_]+(_ses-[^_]+)?)_(?P<rest>.+)_(?P<suffix>mask|dseg|roi)")
_BIDS_LESION = re.compile(r"(label|desc)-(L|WMH|lesions?[a-z]*|tumou?r[a-z]*)\d*|lesions?|tumou?r|WMH", re.IGNORECASE)
_BIDS_DEPTH = 8


def _detect(root: Path) -> bool:
    return any(root.glob("sub-*/anat")) or any(root.glob("sub-*/ses-*/anat"))


def _read(root: Path) -> Listing:
    folders = sorted([*root.glob("sub-*/anat"), *root.glob("sub-*/ses-*/anat")])
    images = [path for anat in folders for path in nifti_files(anat)]
    entries = [entry for entry in map(_bids_image, images) if entry]
    subjects = sorted({entry.subject for entry in entries})
    derivatives = root / "derivatives"
    masks = [*images, *(nifti_files(derivatives, _BIDS_DEPTH) if derivatives.is_dir() else [])]
    entries += _bids_masks(masks, entries)
    table = root / "participants.tsv"
    rows = read_table(table, ["participant_id"]) if table.is_file() else []
    splits = {row["participant_id"]: row["split"] for row in rows if row.get("split", "n/a") not in ("", "n/a")}
    stated = {subject: splits[subject.split("_")[0]] for subject in subjects if subject.split("_")[0] in splits}
    used = {entry.path for entry in entries}
    unused = [path for path in masks if path not in used and (path in images or _bids_unknown_mask(path))]
    return Listing(entries, stated, unused=unused)


def _bids_image(path: Path) -> Entry | None:
    match = _BIDS_IMAGE.fullmatch(stem(path))
    if match is None:
        return None
    contrast = match["suffix"] == "T1w" and re.search(r"(^|_)ce-", match["rest"])
    return Entry(
        match["key"],
        "t1ce" if contrast else {"flair": "flair", "t1w": "t1", "t2w": "t2"}[match["suffix"].lower()],
        path,
    )


def _bids_masks(files: list[Path], images: list[Entry]) -> list[Entry]:
    """Masks of subjects with images; of several, those in the space of an image (fMRIPrep writes more)."""
    subjects = sorted({image.subject for image in images})
    spaces = {(image.subject, _bids_space(image.path)) for image in images}
    found: dict[tuple[str, str], list[Entry]] = {}
    for path in files:
        match = _BIDS_MASK.fullmatch(stem(path))
        role = _bids_mask_role(match["rest"]) if match else None
        for subject in _masked_by(match["key"], subjects) if match and role else []:
            found.setdefault((subject, str(role)), []).append(Entry(subject, str(role), path))
    masks: list[Entry] = []
    for entries in found.values():
        near = [entry for entry in entries if (entry.subject, _bids_space(entry.path)) in spaces]
        masks += near if len(entries) > 1 and near else entries
    return masks


def _bids_space(path: Path) -> str:
    found = re.search(r"_space-([^_]+)", path.name)
    return found[1] if found else ""


def _bids_mask_role(rest: str) -> str | None:
    entities = rest.split("_")
    if any(_BIDS_LESION.fullmatch(entity) for entity in entities):
        return LESION
    return BRAIN if "desc-brain" in entities or "label-brain" in entities else None


def _bids_unknown_mask(path: Path) -> bool:
    """Perhaps of a lesion; segmentations of tissue are `dseg`."""
    match = _BIDS_MASK.fullmatch(stem(path))
    return match is not None and match["suffix"] != "dseg" and _bids_mask_role(match["rest"]) is None


def _masked_by(key: str, subjects: list[str]) -> list[str]:
    if key in subjects:
        return [key]
    # A mask without a session is that of the only session; of several, nobody can tell which.
    sessions = [subject for subject in subjects if subject.startswith(f"{key}_ses-")]
    return sessions if len(sessions) == 1 else []


LAYOUT = Layout(_detect, _read, "sub-<id>[/ses-<id>]/anat/sub-<id>_..._{FLAIR,T1w,T2w}.nii.gz")
