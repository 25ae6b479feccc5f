"""Subjects and predictions whose right numbers are known by construction."""

import numpy as np

from mmccd.data.volumes import new_volume, write_volume
from mmccd.system.files import write_json

SHAPE = (24, 24, 4)
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def brain_of(shape=SHAPE):
    brain = np.zeros(shape, bool)
    brain[1:-1, 1:-1] = True
    return brain


def lesion_of(shape=SHAPE):
    lesion = np.zeros(shape, bool)
    lesion[8:13, 8:12, 1:3] = True
    lesion[8:13, 12, 2] = True  # slice 2 has the most
    return lesion


def add_subject(root, name, *, affine=AFFINE, lesion=None, with_mask=True):
    """A bright lesion on a flat brain: a plain intensity threshold is perfect."""
    lesion = lesion_of() if lesion is None else lesion
    scan = np.where(brain_of(), 100.0 + np.arange(SHAPE[0])[:, None, None], 0).astype(np.float32)
    scan[lesion & brain_of()] = 400
    volume = new_volume(scan, affine)
    write_volume(root / name / f"{name}_flair.nii.gz", scan, new_volume(scan, affine))
    if with_mask:
        write_volume(root / name / f"{name}_seg.nii.gz", lesion.astype(np.uint8), volume)


def intensity_of(**changed):
    return {"polarity": "bright", "threshold": 4.0, "smooth_mm": 0.0, "smoothed_threshold": 4.0} | changed


def add_prediction(root, name, score, *, threshold=0.5, affine=AFFINE, **record):
    volume = new_volume(np.ones(score.shape, np.float32), affine)
    write_volume(root / f"{name}_anomaly.nii.gz", score.astype(np.float32), volume)
    write_volume(root / f"{name}_mask.nii.gz", (score > threshold).astype(np.uint8), volume)
    values = {
        "case": name,
        "source": "flair",
        "score": 1.0,
        "p_value": 0.5,
        "threshold": threshold,
        "threshold_origin": {"value": threshold, "criterion": "by hand", "guarantee": "none"},
        "lesion_volume_ml": 1.0,
        "brain_volume_ml": 1000.0,
        "seconds": 1.0,
        "intensity": intensity_of(),
        "model": {"method": "cyclic_unet"},
        "origin": {},
    } | record
    write_json(root / f"{name}.json", values)


def row_of(evaluation, case, method="cyclic_unet"):
    (row,) = [row for row in evaluation.rows if (row["case"], row["method"]) == (case, method)]
    return row
