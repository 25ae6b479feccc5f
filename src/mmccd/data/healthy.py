"""What of a store is healthy: slices without a lesion, or every region that is far enough from one."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects

from mmccd.data.store import Store

TENTHS = 10
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class HealthyTissue:
    """What of a store may teach, and be counted, as healthy.

    Attributes:
        store: With or without lesion masks; where there is no mask all is healthy.
        margin_mm: How far from any lesion tissue has to be, in all three directions. None takes whole slices without a
            lesion, however near the next one is.
    """

    store: Store
    margin_mm: float | None = None
    _rows: dict[str, Rows] = field(default_factory=dict, init=False, repr=False, compare=False)
    _near: dict[str, tuple[int, Bits]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def words(self) -> str:
        """Healthy what, for readers."""
        return "slices" if self.margin_mm is None else f"regions (more than {self.margin_mm:g} mm from a lesion)"

    def none_in(self, split: str) -> str:
        """That a part has no row, for a complaint."""
        if self.margin_mm is None:
            return f"the store has no healthy {split} slice"
        return f"no {split} slice of the store has brain more than {self.margin_mm:g} mm from a lesion"

    def rows(self, split: str) -> Rows:
        """Slices of one part that hold healthy tissue of the brain."""
        if self.margin_mm is None:
            return self.store.rows(split, healthy=True)
        if split not in self._rows:  # every mask is read: once is enough
            brain = self.store.array("brain")
            found = [rows[(brain[rows] & self.mask(rows)).any(axis=(1, 2))] for rows in self._scans_of(split)]
            self._rows[split] = np.sort(np.concatenate([*found, np.empty(0, np.int64)]))
        return self._rows[split]

    def seen_by_height(self, split: str) -> tuple[float, ...]:
        """Share of the brain of one part that is healthy, by tenths of its height from below."""
        seen, brain_px = np.zeros(TENTHS), np.zeros(TENTHS)
        healthy_rows = self.rows(split)
        for rows in self._scans_of(split):
            brain = np.asarray(self.store.array("brain")[rows])
            healthy = brain & self.mask(rows) & np.isin(rows, healthy_rows)[:, None, None]
            tenth = np.arange(len(rows)) * TENTHS // len(rows)
            np.add.at(seen, tenth, healthy.sum(axis=(1, 2)))
            np.add.at(brain_px, tenth, brain.sum(axis=(1, 2)))
        return tuple(round(float(share), 3) for share in seen / np.maximum(brain_px, 1))

    def mask(self, rows: Rows) -> Mask:
        """True where tissue, or background, is healthy; (rows, size_px, size_px)."""
        size_px = self.store.size_px
        healthy = np.ones((len(rows), size_px, size_px), bool)
        if self.margin_mm is not None:
            for place, (row, subject) in enumerate(zip(rows, self.store.index["subject"].iloc[rows], strict=True)):
                first, near = self._near_lesion(str(subject))
                if 0 <= row - first < len(near):
                    healthy[place] = ~np.unpackbits(near[row - first], axis=-1, count=size_px).astype(bool)
        return healthy

    @cached_property
    def _rows_of(self) -> dict[str, Rows]:
        """Of each scan, the rows that hold it."""
        return {str(subject): rows for subject, rows in self.store.index.groupby("subject").indices.items()}

    def _scans_of(self, split: str) -> list[Rows]:
        """The rows of each scan of one part."""
        table = self.store.index.iloc[self.store.rows(split)]
        return [self._rows_of[str(subject)] for subject in table["subject"].unique()]

    def _near_lesion(self, subject: str) -> tuple[int, Bits]:
        """Of one scan what is no farther from a lesion than the margin, in bits; and the row that it begins at."""
        if subject not in self._near:
            self._near[subject] = self._found_near(self._rows_of[subject])
        return self._near[subject]

    def _found_near(self, rows: Rows) -> tuple[int, Bits]:
        lesion = np.asarray(self.store.array("lesion")[rows[0] : rows[-1] + 1])
        boxes = find_objects(lesion.astype(np.int8))
        if not boxes:
            return int(rows[0]), np.empty((0, 0, 0), np.uint8)
        slice_mm, pixel_mm = float(self.store.index["spacing_z_mm"].iat[rows[0]]), self.store.grid.pixel_mm
        spacing_mm, margin_mm = (slice_mm, pixel_mm, pixel_mm), float(self.margin_mm or 0)
        box = tuple(
            slice(max(0, side.start - int(margin_mm / mm)), side.stop + int(margin_mm / mm))
            for side, mm in zip(boxes[0], spacing_mm, strict=True)
        )
        near = np.zeros_like(lesion)
        near[box] = distance_transform_edt(~lesion[box], sampling=spacing_mm) <= margin_mm
        return int(rows[0]), np.packbits(near, axis=-1)
