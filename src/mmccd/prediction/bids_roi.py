"""A mask under the name, and on the grid, that fMRIPrep takes for cost function masking of its normalisation."""

from pathlib import Path

import numpy as np

from mmccd.data.cohort import Image, Subject
from mmccd.data.volumes import Volume, check_same_grid, read_volume, write_volume
from mmccd.errors import DataError, GridError, MmccdError, WriteError
from mmccd.prediction.bids_names import derived_name, folder_of
from mmccd.prediction.bids_sidecars import JSON, NIFTI, RECORD, beside, is_made_of, record_behind, remove
from mmccd.raw.brain import Strip
from mmccd.raw.ready import ready
from mmccd.raw.registration import resampled
from mmccd.system.files import sha256_of_file, write_json

ROIS = "derivatives/lesion_roi"
"""Where they lie in our derivatives: as `roi` is no suffix of BIDS, in a folder that validators leave out."""
T1 = "t1"
T1_SHA256 = "T1wSHA256"
"""Key of the digest of the T1w in the JSON beside a mask."""
DESCRIPTION = "What mmccd marked, on the grid of the T1w, for cost function masking by fMRIPrep. No expert drew it."


def write_roi(output: Path, subject: Subject, source: str, mask: Path, strip: Strip, record_sha256: str) -> str:
    """Write the mask of a case for fMRIPrep where something is marked and the subject has a T1w, or remove it.

    One that was made of the same record and T1w stays as it is: somebody may have corrected it.

    Args:
        output: The derivatives.
        subject: The files of the case.
        source: Modality on whose grid the mask lies.
        mask: The mask.
        strip: As of `predict`; ``never`` also means that no T1w is registered.
        record_sha256: Digest of the record of the case.

    Returns:
        Why there is none, where a user could change that; else nothing.

    Raises:
        WriteError: it cannot be written.
    """
    written, note = "", ""
    try:
        marked = read_volume(mask, allow_zero=True)
        if T1 in subject.images and marked.data.any():
            image = subject.images[T1]
            place = output / ROIS / derived_name(image.path, "roi", label="lesion")
            t1_sha256 = sha256_of_file(image.path)
            if not is_made_of(place, record_sha256, **{T1_SHA256: t1_sha256}):
                t1 = read_volume(image.path, image.channel)
                moved = _on_grid(marked, t1, subject, source, strip)
                beside(place, JSON).unlink(missing_ok=True)  # of an earlier mask
                write_volume(beside(place, NIFTI), moved, t1)
                write_json(
                    beside(place, JSON), {"Description": DESCRIPTION, RECORD: record_sha256, T1_SHA256: t1_sha256}
                )
            written = place.name
    except WriteError:
        raise
    except MmccdError as error:
        note = f"no lesion mask for fMRIPrep: {error.message}"
    remove_rois(output, subject.id, written)
    return note


def remove_rois(output: Path, case: str, but: str = "") -> None:
    """Remove the masks of a case that this program made, but that of this name."""
    for path in [*(output / ROIS / folder_of(case)).glob(f"*_label-lesion_roi{JSON}")]:
        place = path.with_name(path.name.removesuffix(JSON))
        if place.name != but and record_behind(place) is not None:
            remove(place)


def _on_grid(marked: Volume, t1: Volume, subject: Subject, source: str, strip: Strip) -> np.ndarray:
    """The mask on the grid of the T1w, (x, y, z), 0 and 1.

    Raises:
        GridError: it lies on another one, and nothing is to be registered.
        DataError: the two scans do not come together, or nothing of the mask is left.
        ConfigError: what registers is not installed.
    """
    try:
        check_same_grid(t1, marked)
    except GridError:
        if strip == "never":
            raise
    else:
        return (marked.data > 0).astype(np.uint8)
    images: dict[str, Image] = {name: subject.images[name] for name in (source, T1)}
    to_t1 = np.array(ready(images, subject.brain, strip).matrices[T1])
    moved = resampled(marked, t1, np.linalg.inv(to_t1), labels=True) > 0
    if not moved.any():
        raise DataError("what is marked lies outside the T1w, or between its voxels")
    return moved.astype(np.uint8)
