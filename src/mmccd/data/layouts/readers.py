"""What the files of a folder are: one reader per layout, each says "this file is that role of that subject".

A reader only names files; it opens no image. ``mmccd.data.cohort`` pairs the entries into subjects by their ids.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmccd.data.layouts.names import BRAIN, LESION, MASKS, ROLES, modality_named, role_of
from mmccd.data.nifti import is_nifti_name, stem
from mmccd.data.own_folders import is_result
from mmccd.data.tables import read_table
from mmccd.errors import DataError

_BRATS_NAME = re.compile(
    rf"(?P<id>.+?)[_-](?P<role>{'|'.join(ROLES)})(?P<mask>[_-](mask|seg|segm|segmentation|label|roi))?", re.IGNORECASE
)
_BIDS_IMAGE = re.compile(r"(?P<key>sub-[^_]+(_ses-[^_]+)?)_(?P<rest>(.+_)?)(?P<suffix>FLAIR|T1w|T2w)")
_BIDS_MASK = re.compile(r"(?P<key>sub-[^_]+(_ses-[^_]+)?)_(?P<rest>.+)_(?P<suffix>mask|dseg|roi)")
_BIDS_LESION = re.compile(r"(label|desc)-(L|WMH|lesions?[a-z]*|tumou?r[a-z]*)\d*|lesions?|tumou?r|WMH", re.IGNORECASE)
_NNUNET_NAME = re.compile(r"(?P<id>.+)_(?P<channel>\d{4})")
_PART_OF = {"imagesTr": "train", "imagesTs": "test"}
_BIDS_DEPTH = 8


@dataclass(frozen=True)
class Entry:
    """One file (or channel of a file) of one subject; ``role`` is a modality, ``brain`` or ``lesion``."""

    subject: str
    role: str
    path: Path
    channel: int | None = None


@dataclass(frozen=True)
class Listing:
    """Entries in any order, what a table says of each subject's split, problems, and files whose names fit no role."""

    entries: list[Entry] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    unused: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Layout:
    """How one layout is recognised and read; ``expects`` describes it to users."""

    detect: Callable[[Path], bool]
    read: Callable[[Path], Listing]
    expects: str


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
        elif is_nifti_name(path.name) and not is_result(path):
            yield path


# --- BraTS: <subject>_flair.nii.gz (to 2021), <subject>-t2f.nii.gz (from 2023) ---


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


def _detect_brats(root: Path) -> bool:
    files = list(nifti_files(root, 2))
    entries = [entry for entry in map(_brats_entry, files) if entry]
    folders: dict[str, set[Path]] = {}
    for entry in entries:
        folders.setdefault(entry.subject, set()).add(entry.path.parent)
    # sub1/my_flair.nii.gz, sub2/my_flair.nii.gz: the subject is the folder, not "my".
    own = any(len(where) == 1 or any(f.name == name for f in where) for name, where in folders.items())
    images = any(entry.role not in MASKS for entry in entries)  # else "a_brain", "b_brain" may be stripped scans
    return own and images and 2 * len(entries) > len(files)


def _read_brats(root: Path) -> Listing:
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


# --- Medical Segmentation Decathlon, Task01: 4D images and dataset.json ---


def _detect_msd(root: Path) -> bool:
    return (root / "dataset.json").is_file() and (root / "imagesTr").is_dir()


def _read_msd(root: Path) -> Listing:
    names, training = _read_dataset(root / "dataset.json")
    listed = [root / image for image in training]
    found = [*_files_in(root / "imagesTr"), *_files_in(root / "imagesTs")]
    missing = [path for path in listed if path.name not in {image.name for image in found}]
    single = len(names) == 1  # then the files are 3D
    entries = [
        Entry(stem(image), role, image, None if single else channel)
        for image in [*found, *missing]
        for channel, role in names.items()
    ]
    entries += [Entry(stem(label), LESION, label) for label in _files_in(root / "labelsTr")]
    return Listing(entries, _stated({stem(image): image.parent.name for image in found}))


def _stated(folders: dict[str, str]) -> dict[str, str]:
    """The part of each case, by the folder of its image, where there are images of both."""
    both = _PART_OF.keys() <= {*folders.values()}
    return {case: _PART_OF[folder] for case, folder in folders.items()} if both else {}


def _read_dataset(path: Path) -> tuple[dict[int, str], list[str]]:
    """The modality of each channel, and the images of the training list, of an MSD or nnU-Net ``dataset.json``."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        named = table["channel_names" if "channel_names" in table else "modality"]
        names = {int(channel): modality_named(str(name)) for channel, name in named.items()}
        training = [str(case["image"]) for case in table.get("training", [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f'{path} has no usable "modality" table and training list: {error!r}',
            'expected {"modality": {"0": "FLAIR"}, "training": [{"image": "..."}]}, or "channel_names" as in nnU-Net 2',
        ) from error
    for name in names.values():
        _check_modality(path, name)
    return names, training


def _check_modality(path: Path, name: str) -> None:
    """Files of a store are named after modalities, so no name may lead out of its folder."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_+-]*", name):
        raise DataError(
            f"{path.name} has a modality or column {name!r}", "name a modality with letters, digits, _, + and -"
        )


def _files_in(folder: Path) -> list[Path]:
    return list(nifti_files(folder)) if folder.is_dir() else []


# --- nnU-Net: a 3D file per channel, <case>_0000.nii.gz, and dataset.json ---


def _detect_nnunet(root: Path) -> bool:
    files = _nnunet_images(root) if root.is_dir() else []
    names = [match for path in files if (match := _NNUNET_NAME.fullmatch(stem(path)))]
    channels: dict[str, set[str]] = {}
    for name in names:
        channels.setdefault(name["id"], set()).add(name["channel"])
    if not channels or any("0000" not in found for found in channels.values()):
        return False
    # Without a table, "scan_0000" and "scan_0001" may be scans of their own.
    like_nnunet = len(channels) > 1 or files[0].parent.resolve().name in _PART_OF
    several = len(names) == len(files) and any(len(found) > 1 for found in channels.values())
    return _dataset_of(root) is not None or (several and like_nnunet)


def _nnunet_images(root: Path) -> list[Path]:
    folders = [root / name for name in _PART_OF if (root / name).is_dir()]
    return [path for folder in folders or [root] for path in nifti_files(folder)]


def _dataset_of(root: Path) -> Path | None:
    """The table in a folder, or beside it where it is one of the folders of images."""
    places = (root / "dataset.json", root.resolve().parent / "dataset.json")
    return next((place for place in places if place.is_file()), None)


def _read_nnunet(root: Path) -> Listing:
    path = _dataset_of(root)
    if path is None:
        raise DataError(
            f"{root} has no dataset.json, so nothing says which modality each channel <case>_NNNN is",
            'put one beside imagesTr or imagesTs, with {"channel_names": {"0": "FLAIR", "1": "T1"}}, or write a CSV '
            "manifest; if each file is a scan of its own, rename them",
        )
    names, _ = _read_dataset(path)
    listing, images = Listing(), _nnunet_images(root)
    folders: dict[str, str] = {}
    for image in images:
        if (match := _NNUNET_NAME.fullmatch(stem(image))) is None:
            listing.unused.append(image)
            continue
        folders[match["id"]] = image.parent.name
        if role := names.get(int(match["channel"])):
            listing.entries.append(Entry(match["id"], role, image))
        else:
            listing.problems[match["id"]] = f"{image.name} is a channel that {path.name} does not name"
    for folder in {image.parent.resolve() for image in images}:
        labels = _files_in(folder.with_name(folder.name.replace("images", "labels")))
        listing.entries.extend(Entry(stem(label), LESION, label) for label in labels if folder.name in _PART_OF)
    listing.splits.update(_stated(folders))
    return listing


# --- BIDS: sub-XX[/ses-YY]/anat, masks there or in derivatives ---


def _detect_bids(root: Path) -> bool:
    return any(root.glob("sub-*/anat")) or any(root.glob("sub-*/ses-*/anat"))


def _read_bids(root: Path) -> Listing:
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
    return Entry(match["key"], "t1ce" if contrast else ROLES[match["suffix"].lower()], path)


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


# --- CSV manifest ---


def _detect_csv(root: Path) -> bool:
    return root.is_file() and root.suffix.lower() in (".csv", ".tsv")


def _read_csv(path: Path) -> Listing:
    rows = read_table(path, ["subject"])
    columns = [name for name in (rows[0] if rows else {}) if name not in ("subject", "split")]
    for name in columns:
        _check_modality(path, name)
        cells = [row[name] for row in rows if row[name]]
        if cells and not any(map(is_nifti_name, cells)):
            raise DataError(
                f"{path.name} has a column {name!r} that names no NIfTI file (first cell {cells[0]!r})",
                "allowed columns: subject, one per modality, brain, lesion, split; leave the others out",
            )
    if not set(columns) - {BRAIN, LESION}:
        raise DataError(f"{path.name} has no modality column or no row", "write subject,flair,t1 and one row each")
    ids = [row["subject"] for row in rows]
    repeated = sorted({name or "(empty)" for name in ids if ids.count(name) > 1 or not name})
    if repeated:
        raise DataError(
            f"{path.name} has rows without a subject of their own: {', '.join(repeated)}",
            "give each subject one row",
        )
    entries = [Entry(row["subject"], role, path.parent / row[role]) for row in rows for role in columns if row[role]]
    splits = {row["subject"]: row["split"] for row in rows if row.get("split")}
    named = {entry.subject for entry in entries}
    return Listing(entries, splits, {name: "its row names no file" for name in ids if name not in named})


# --- Any folders: one per subject, or one subject ---


def _detect_folders(root: Path) -> bool:
    return root.is_dir() and any(role_of(path) for path in nifti_files(root, 1))


def _read_folders(root: Path) -> Listing:
    inside = [path for path in nifti_files(root, 1) if path.parent != root]
    entries = [Entry(path.parent.name, role, path) for path in inside if (role := role_of(path))]
    own = [Entry(root.resolve().name, role, path) for path in nifti_files(root) if (role := role_of(path))]
    used = {entry.path for entry in (*entries, *own)}
    unused = [path for path in nifti_files(root, 2) if path not in used]  # masks may lie a folder deeper
    if not entries:
        return Listing(own, unused=unused)
    lost = {stem(entry.path): f"{entry.path.name} lies in no subject's folder" for entry in own}
    return Listing(entries, problems=lost, unused=unused)


# In the order in which `auto` tries them: the most specific first.
LAYOUTS = {
    "csv": Layout(_detect_csv, _read_csv,
                  "a .csv or .tsv with columns subject,<modality>,...,[brain],[lesion],[split]"),
    "nnunet": Layout(_detect_nnunet, _read_nnunet,
                     "dataset.json with imagesTr/<case>_0000.nii.gz and labelsTr/<case>.nii.gz"),
    "msd": Layout(_detect_msd, _read_msd, "dataset.json with imagesTr/ and labelsTr/"),
    "bids": Layout(_detect_bids, _read_bids, "sub-<id>[/ses-<id>]/anat/sub-<id>_..._{FLAIR,T1w,T2w}.nii.gz"),
    "brats": Layout(_detect_brats, _read_brats,
                    "<subject>/<subject>_{flair,t1,t1ce,t2,seg}.nii.gz, or -t2f, -t1n, ..."),
    "folders": Layout(_detect_folders, _read_folders,
                      "one folder per subject, modalities in the names of its files"),
}  # fmt: skip
