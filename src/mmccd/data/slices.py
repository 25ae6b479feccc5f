"""The slices of one scan as a store holds them: normalised, resized, each called healthy or not."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmccd.data.grid import (
    FIELD_OF_VIEW_MM,
    ModelGrid,
    Protocol,
    SliceGrid,
    fills_field_of_view,
    protocol_named,
    slice_grid,
)
from mmccd.data.subject import Case
from mmccd.data.volumes import check_range
from mmccd.errors import ConfigError, DataError
from mmccd.method.intensity import BACKGROUND, normalise

PAPER_SLICES = range(70, 90)
STORED_DTYPE = np.float16  # exact to 0.004 below 8: a tenth of the noise of a scan, at half the size


@dataclass(frozen=True)
class StoreSettings:
    """What decides the content of a store, besides the scans.

    Attributes:
        protocol: ``paper-slices`` (axial slices 70..89 of a 240 mm square, area resize) or ``volume`` (the brain).
        size_px: Side of the slices in pixels.
        modalities: Names of the modalities to keep.
    """

    protocol: Protocol
    size_px: int
    modalities: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "protocol", protocol_named(self.protocol))
        if not 32 <= self.size_px <= 512 or self.size_px % 16:
            raise ConfigError(
                f"size_px is {self.size_px}, expected a multiple of 16 from 32 to 512",
                "128 is the paper's size",
            )
        if len(self.modalities) < 1:
            raise ConfigError("no modality is shared by all subjects", "name them with --modalities flair,t2")

    @property
    def pixel_mm(self) -> float:
        """Pixel side of the stored slices."""
        return FIELD_OF_VIEW_MM / self.size_px

    @property
    def grid(self) -> ModelGrid:
        """Of the stored slices."""
        return ModelGrid(self.protocol, self.size_px, self.pixel_mm)

    @property
    def arrays(self) -> list[tuple[str, np.dtype[Any]]]:
        """Names and types of what is stored."""
        images = [(name, np.dtype(STORED_DTYPE)) for name in self.modalities]
        return [*images, ("brain", np.dtype(bool)), ("lesion", np.dtype(bool))]


def slices_of(case: Case, settings: StoreSettings) -> tuple[pd.DataFrame, dict[str, NDArray[Any]]]:
    """The stored slices of one case, and one index row per slice.

    Returns:
        Table with slice, healthy, brain_px, lesion_px and spacing; arrays by name, (slices, size_px, size_px).

    Raises:
        DataError: the scan does not fit the slices of the paper, has no brain, or voxels that float16 cannot hold.
    """
    first = next(iter(case.images.values()))
    lesion = np.zeros_like(case.brain) if case.lesion is None else case.lesion
    grid = _grid(case, settings)
    arrays: dict[str, NDArray[Any]] = {
        "brain": grid.shrink_mask(case.brain),
        "lesion": grid.shrink_mask(lesion),
    }
    chosen = np.flatnonzero(np.any(arrays["brain"], axis=(1, 2)))
    if settings.protocol == "paper-slices":
        chosen = chosen[np.isin(chosen, PAPER_SLICES)]
    if not chosen.size:
        lost = f"no slice of {case.subject.id} that the protocol {settings.protocol} takes"
        raise DataError(f"{lost} has brain on a grid of {settings.pixel_mm:g} mm", "check its brain mask")
    for name in settings.modalities:
        with np.errstate(over="ignore", invalid="ignore"):  # is refused below
            arrays[name] = grid.shrink(normalise(case.images[name].data, case.brain), BACKGROUND).astype(STORED_DTYPE)
    arrays = {name: array[chosen] for name, array in arrays.items()}
    for name in settings.modalities:
        check_range(arrays[name], case.images[name])
    table = pd.DataFrame(
        {
            "subject": case.subject.id,
            "slice": chosen,
            # judged at full resolution, before small lesions vanish
            "healthy": ~np.isin(chosen, np.unique(np.nonzero(lesion)[2])),
            "brain_px": arrays["brain"].sum(axis=(1, 2)),
            "lesion_px": arrays["lesion"].sum(axis=(1, 2)),
        }
    )
    for axis, spacing in zip("xyz", first.spacing_mm, strict=True):
        table[f"spacing_{axis}_mm"] = round(spacing, 6)
    return table, arrays


def _grid(case: Case, settings: StoreSettings) -> SliceGrid:
    volume = next(iter(case.images.values()))
    shape, spacing_mm = volume.data.shape, volume.spacing_mm
    fits = fills_field_of_view(shape, spacing_mm) and shape[2] >= PAPER_SLICES.stop
    if settings.protocol == "paper-slices" and not fits:
        sides = " x ".join(f"{n * mm:.0f}" for n, mm in zip(shape[:2], spacing_mm[:2], strict=True))
        raise DataError(
            f"{case.subject.id} measures {sides} mm with {shape[2]} axial slices; "
            f"the paper's slices need 240 x 240 mm and at least {PAPER_SLICES.stop}",
            "use --protocol volume",
        )
    return slice_grid(settings.grid, case.brain, spacing_mm)
