"""What derivatives of a BIDS image are called, and how they say which image it was."""

from pathlib import Path
from urllib.parse import quote

from mmccd.data.layouts.entities import bids_name

RAW = "raw"
"""What our derivatives call the dataset of the scans, in `DatasetLinks` and in BIDS URIs."""
_SUFFIXES = {"flair": "FLAIR", "t1w": "T1w", "t2w": "T2w"}
_OF_IMAGES = ("task", "acq", "ce", "rec", "run", "echo", "part", "chunk", "space")
_OWN = ("label", "desc")


def derived_name(source: Path, suffix: str = "", **own: str) -> Path:
    """The place of a derivative within its dataset, without an ending.

    All entities of the source are kept that the specification allows in each of our derivatives.

    Args:
        source: An image with a name of BIDS.
        suffix: Of the derivative; empty for that of the source.
        own: Its ``label`` or ``desc``.

    Example:
        >>> str(derived_name(Path("sub-01_ses-2_run-1_FLAIR.nii.gz"), "mask", label="lesion"))
        'sub-01/ses-2/anat/sub-01_ses-2_run-1_label-lesion_mask'
    """
    name = bids_name(source)
    if name is None:
        raise AssertionError(f"{source.name} is an image of a BIDS dataset, and has no name of BIDS")
    values = {key: value for key, value in name.entities.items() if key in _OF_IMAGES and value.isalnum()} | own
    parts = [f"{key}-{values[key]}" for key in (*_OF_IMAGES, *_OWN) if key in values]
    last = suffix or _SUFFIXES.get(name.suffix.lower(), name.suffix)
    return folder_of(name.subject) / "_".join([name.subject, *parts, last])


def folder_of(case: str) -> Path:
    """Where the derivatives of a case lie: ``sub-01/anat`` or ``sub-01/ses-2/anat``."""
    return Path(*case.split("_", 1), "anat")


def uri(place: Path, dataset: str = "") -> str:
    """The BIDS URI of a file by its place within a dataset; of our own where none is named.

    Example:
        >>> uri(Path("sub-01/anat/sub-01_FLAIR.nii.gz"), RAW)
        'bids:raw:sub-01/anat/sub-01_FLAIR.nii.gz'
    """
    return f"bids:{dataset}:{quote(place.as_posix())}"
