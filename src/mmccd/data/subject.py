"""One subject in memory: its images on one grid, its brain, and its lesion where an expert drew it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmccd.data.case_record import CaseRecord
from mmccd.data.cohort import Image, Subject
from mmccd.data.layouts.names import BRAIN, LESION
from mmccd.data.own_folders import BRAIN_END
from mmccd.data.volumes import (
    Volume,
    brain_mask,
    check_intensities,
    check_same_grid,
    is_whole,
    mask_on_grid,
    read_volume,
)
from mmccd.errors import DataError, GridError

LEAST_SHARE_IN_BRAIN = 0.95
Ready = Callable[[Subject], Subject]
"""What is done to a subject before it is read, such as brain extraction."""


def as_it_is(subject: Subject) -> Subject:
    """Nothing is done to it."""
    return subject


@dataclass(frozen=True)
class Case:
    """Images and masks of one subject, all on one voxel grid in RAS+ orientation.

    Attributes:
        subject: The files that were read.
        images: Modality name to volume, in the order that was asked for.
        brain: (x, y, z) bool: the brain mask, or the voxels above zero in the first of ``images``.
        lesion: (x, y, z) bool, or None where no expert mask is given.
        warnings: What of the lesion mask was put up with while reading, in words.
    """

    subject: Subject
    images: dict[str, Volume]
    brain: NDArray[np.bool_]
    lesion: NDArray[np.bool_] | None
    warnings: tuple[str, ...] = ()


def load_case(subject: Subject, modalities: Sequence[str]) -> Case:
    """Read the asked modalities and the masks of a subject, and check that they share one grid.

    Args:
        subject: One subject of a cohort.
        modalities: Names to read; the first is the reference of the grid and of the brain.

    Raises:
        DataError: a modality is missing, or several files might be it; a file is unusable; the reference is not
            skull-stripped and there is no brain mask; intensities are no image's; or a mask is not one.
        GridError: the files do not share one grid.
    """
    subject.check_usable(*modalities, BRAIN, LESION)
    missing = [name for name in modalities if name not in subject.images]
    if missing or not modalities:
        raise DataError(
            f"subject {subject.id} has no {', '.join(missing) or 'modality asked for'}; "
            f"it has {', '.join(subject.images)}",
            "add the file, choose modalities that every subject has, or leave this subject out",
        )
    images = {name: _read(subject.images[name]) for name in modalities}
    reference = images[modalities[0]]
    for image in images.values():
        check_same_grid(reference, image)
    brain = brain_mask(reference, _read(subject.brain) if subject.brain else None)
    for image in images.values():
        check_intensities(image, brain)
    if subject.lesion is None:
        return Case(subject, images, brain, None)
    lesion, warnings = _read_lesion(subject.lesion, reference, brain)
    return Case(subject, images, brain, lesion, warnings)


def load_predicted(subject: Subject, record: CaseRecord, predictions: Path) -> Case:
    """Read a subject as `load_case` does, with the brain that `mmccd predict` found where it had to find one.

    Args:
        subject: One subject of a cohort.
        record: Of its prediction.
        predictions: The folder that this lies in.

    Raises:
        DataError, GridError: as `load_case`.
    """
    if record.brain_from:
        subject = replace(subject, brain=Image(predictions / f"{record.case}{BRAIN_END}"))
    return load_case(subject, [record.source])


def _read_lesion(
    image: Image, reference: Volume, brain: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Expert mask on the grid of ``reference``, with a warning where its header is wrong; all zero is healthy."""
    mask = read_volume(image.path, image.channel, allow_zero=True)
    low = float(mask.data.min())
    if low < 0 or not is_whole(mask):
        raise DataError(
            f"{image.path.name} is no lesion mask: "
            f"its values, {low:g} to {mask.data.max():g}, are not whole numbers from 0",
            "give labels (0 outside, 1 or more inside), resampled with nearest neighbour",
        )
    try:
        return np.asarray(mask_on_grid(reference, mask).data > 0.5), ()
    except GridError:
        lesion = np.asarray(mask.data > 0.5)
        if not _only_origin_is_wrong(reference, mask, lesion, brain):
            raise
        return lesion, (
            f"{image.path.name} has another origin than its scan; its voxels fit, so it is used as it lies",
        )


def _only_origin_is_wrong(reference: Volume, mask: Volume, lesion: NDArray[np.bool_], brain: NDArray[np.bool_]) -> bool:
    """Old BraTS releases hold masks with a wrong origin: same voxels, same axes, and voxel by voxel in the brain."""
    same_axes = np.allclose(reference.affine[:3, :3], mask.affine[:3, :3], atol=1e-3)
    return bool(
        same_axes
        and reference.data.shape == mask.data.shape
        and lesion.any()
        and (lesion & brain).sum() >= LEAST_SHARE_IN_BRAIN * lesion.sum()
    )


def _read(image: Image) -> Volume:
    return read_volume(image.path, image.channel)
