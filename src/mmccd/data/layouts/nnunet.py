"""nnU-Net: a 3D file per channel, ``<case>_0000.nii.gz``, and ``dataset.json``."""

import re
from pathlib import Path

from mmccd.data.formats import stem
from mmccd.data.layouts.dataset_json import PART_OF, read_dataset, stated
from mmccd.data.layouts.listing import Entry, Layout, Listing, files_in, nifti_files
from mmccd.data.layouts.names import LESION
from mmccd.errors import DataError

_NNUNET_NAME = re.compile(r"(?P<id>.+)_(?P<channel>\d{4})")


def _detect(root: Path) -> bool:
    files = _nnunet_images(root) if root.is_dir() else []
    names = [match for path in files if (match := _NNUNET_NAME.fullmatch(stem(path)))]
    channels: dict[str, set[str]] = {}
    for name in names:
        channels.setdefault(name["id"], set()).add(name["channel"])
    if not channels or any("0000" not in found for found in channels.values()):
        return False
    # Without a table, "scan_0000" and "scan_0001" may be scans of their own.
    like_nnunet = len(channels) > 1 or files[0].parent.resolve().name in PART_OF
    several = len(names) == len(files) and any(len(found) > 1 for found in channels.values())
    return _dataset_of(root) is not None or (several and like_nnunet)


def _nnunet_images(root: Path) -> list[Path]:
    folders = [root / name for name in PART_OF if (root / name).is_dir()]
    return [path for folder in folders or [root] for path in nifti_files(folder)]


def _dataset_of(root: Path) -> Path | None:
    """The table in a folder, or beside it where it is one of the folders of images."""
    places = (root / "dataset.json", root.resolve().parent / "dataset.json")
    return next((place for place in places if place.is_file()), None)


def _read(root: Path) -> Listing:
    path = _dataset_of(root)
    if path is None:
        raise DataError(
            f"{root} has no dataset.json, so nothing says which modality each channel <case>_NNNN is",
            'put one beside imagesTr or imagesTs, with {"channel_names": {"0": "FLAIR", "1": "T1"}}, or write a CSV '
            "manifest; if each file is a scan of its own, rename them",
        )
    names, _ = read_dataset(path)
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
        labels = files_in(folder.with_name(folder.name.replace("images", "labels")))
        listing.entries.extend(Entry(stem(label), LESION, label) for label in labels if folder.name in PART_OF)
    listing.splits.update(stated(folders))
    return listing


LAYOUT = Layout(_detect, _read, "dataset.json with imagesTr/<case>_0000.nii.gz and labelsTr/<case>.nii.gz")
