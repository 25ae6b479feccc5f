"""The detector: a trained model and one scan of its source modality to an anomaly map, a mask and a score."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from mmccd.data.checks import odd_about_other, odd_about_scan
from mmccd.data.forms import lies_in_mni
from mmccd.data.given import Scan, as_volume
from mmccd.data.grid import slice_grid
from mmccd.data.own_folders import ANOMALY_END, MASK_END
from mmccd.data.volumes import (
    Volume,
    brain_mask,
    check_intensities,
    check_range,
    check_same_grid,
    image_of,
    write_volume,
)
from mmccd.errors import ConfigError, DataError
from mmccd.method.intensity import BACKGROUND, normalise
from mmccd.model.card import THRESHOLD_KINDS
from mmccd.model.folder import load_any
from mmccd.model.model import Fusion, Model, known_scans
from mmccd.scoring.findings import Finding, findings_of, without_small
from mmccd.scoring.maps import scan_score
from mmccd.scoring.thresholds import p_value, threshold_of_scan
from mmccd.system.devices import choose_device

if TYPE_CHECKING:
    import pandas

TRAINED_ON = "the model was trained or calibrated on this very scan: what it finds here says little about others"
MUCH_MARKED = 0.2
"""Share of the brain; the largest lesion of 45 patients with glioma covers 0.18 of it."""


@dataclass(frozen=True)
class Detection:
    """What was found in one scan. Arrays are (x, y, z) in RAS+; `save` writes them on the scan's own grid.

    Attributes:
        anomaly: float32, squared error or evidence in nats; 0 outside the scored part of the brain.
        mask: True where the anomaly exceeds the threshold, less the parts smaller than ``min_lesion_ml``.
        brain: True inside the brain.
        affine: (4, 4), voxel to millimetre of these arrays.
        score: One number for the scan: the 99th percentile of the anomaly over the brain, on the model's grid.
        p_value: How unusual the score is among healthy scans, in (0, 1]: see `mmccd.scoring.thresholds.p_value`.
        threshold: Of this scan, chosen on healthy validation slices, without labels.
        lesion_volume_ml: Volume of the mask.
        brain_volume_ml: Volume of the brain.
        volume: The scan.
        warnings: What a user should know before trusting the result.
        trained_on: Whether the model was trained or calibrated on this very scan.
        findings: The connected parts of the mask, the largest first.
        min_lesion_ml: Smallest part that stays in the mask; 0 removes none.
    """

    anomaly: NDArray[np.float32]
    mask: NDArray[np.bool_]
    brain: NDArray[np.bool_]
    affine: NDArray[np.float64]
    score: float
    p_value: float
    threshold: float
    lesion_volume_ml: float
    brain_volume_ml: float
    volume: Volume
    warnings: tuple[str, ...]
    trained_on: bool
    findings: tuple[Finding, ...] = ()
    min_lesion_ml: float = 0.0

    def save(self, folder: Path | str, name: str) -> None:
        """Write ``<name>_anomaly.nii.gz`` (float32) and ``<name>_mask.nii.gz`` (0 and 1) on the scan's own grid.

        Args:
            folder: Created where needed; files of these names are replaced.
            name: How the files begin.

        Raises:
            WriteError: they cannot be written.
        """
        write_volume(Path(folder) / f"{name}{ANOMALY_END}", self.anomaly, self.volume)
        write_volume(Path(folder) / f"{name}{MASK_END}", self.mask.astype(np.uint8), self.volume)

    def to_nibabel(self) -> tuple[SpatialImage, SpatialImage]:
        """Map (float32) and mask (0 and 1) as images on the scan's own grid, as `save` writes them."""
        return image_of(self.anomaly, self.volume), image_of(self.mask.astype(np.uint8), self.volume)

    def plot(
        self,
        *,
        cut_coords: tuple[float, float, float] | None = None,
        title: str | None = None,
        output_file: Path | str | None = None,
    ) -> Any:
        """Three planes: the scan, the map above half the threshold, and the outline of what is marked.

        As radiologists look at it: the patient's left is on the right.

        Args:
            cut_coords: Right, front and up in the scan's millimetres; None is the finding with the highest peak.
            title: Above the planes.
            output_file: Also written here; its ending tells the format.

        Returns:
            What `nilearn.plotting.plot_stat_map` returns: an ``OrthoSlicer``, to add to or to close.
        """
        from mmccd.prediction import display  # nilearn takes seconds to import

        file = None if output_file is None else Path(output_file)
        return display.plot(self, cut_coords=cut_coords, title=title, output_file=file)

    def findings_table(self) -> "pandas.DataFrame":
        """The findings as a table: number, volume_ml, peak, mean, x_mm, y_mm, z_mm and side, the largest first."""
        from mmccd.prediction import display

        return display.table(self)

    def _repr_html_(self) -> str:
        from mmccd.prediction import display

        return display.html(self)


class Detector:
    """Finds anomalies in scans of one modality; or, with a fusion of several, in those of one subject.

    Args:
        model: Networks and card, or several of them.
        device: Where to compute; see `mmccd.system.devices`.
        batch_size: Slices at a time.
        runtime: What runs the networks: ``torch``, or ``openvino`` (an extra, for CPUs).
        threshold: Which one of `mmccd.scoring.thresholds.Thresholds` decides what is marked.
        min_lesion_ml: Connected parts of the mask that are smaller are removed from it; 0 removes none. Map, score and
            p-value stay as they are.

    Raises:
        ConfigError: device, runtime or threshold are unknown, do not fit each other, or are not there; or
            ``min_lesion_ml`` is no volume.

    Example:
        ``Detector.load("model").detect("scan_flair.nii.gz").lesion_volume_ml``
    """

    def __init__(
        self,
        model: Model | Fusion,
        *,
        device: str = "auto",
        batch_size: int = 16,
        runtime: str = "torch",
        threshold: str = "voxel",
        min_lesion_ml: float = 0.0,
    ) -> None:
        if not (math.isfinite(min_lesion_ml) and min_lesion_ml >= 0):
            raise ConfigError(
                f"min_lesion_ml is {min_lesion_ml:g}, expected millilitres from 0", "0 keeps everything that is marked"
            )
        self.model, self.runtime, self.kind, self.min_lesion_ml = model, runtime, threshold, float(min_lesion_ml)
        self.device = choose_device(device)
        if threshold not in THRESHOLD_KINDS:
            known = ", ".join(THRESHOLD_KINDS)
            raise ConfigError(f"threshold is {threshold!r}, expected one of {known}", "voxel is usual")
        card = model.card
        chosen = card.threshold_of(threshold)
        if chosen is None or card.intensity_baseline.of(threshold) is None:
            raise ConfigError(
                f"the model has no threshold {threshold!r}, it was made by a version that did not know it",
                f"leave it out, or `mmccd {'fuse' if card.members else 'calibrate'}` it anew",
            )
        self.threshold = chosen
        self.sources = tuple(dict.fromkeys(member.config.source for member in model.members))
        self.scorer = model.scorer(self.device, batch_size=batch_size, runtime=runtime)
        self._known = known_scans(model)

    @classmethod
    def load(cls, folder: Path | str, **settings: Any) -> "Detector":
        """Read what `mmccd train` or `fuse` wrote, or for example ``builtin:flair``; ``settings`` as above."""
        return cls(load_any(folder), **settings)

    def detect(
        self,
        scan: Scan,
        *,
        brain: Scan | None = None,
        others: Mapping[str, Scan] | None = None,
    ) -> Detection:
        """Score one scan.

        Args:
            scan: Of the model's source modality: a file, an image of nibabel or SimpleITK, or an array with its
                affine, of which `mmccd.new_volume` makes a volume.
            brain: Brain mask, given alike; without one the scan must be skull-stripped, and its brain is what lies
                above zero.
            others: For a fusion: the subject's further modalities by name, on the grid of ``scan``.

        Raises:
            DataError: the scan cannot be read or used; see `mmccd.data.volumes`; or a modality of a fusion is missing.
            GridError: the brain mask or another modality lies on another grid.
        """
        volume = as_volume(scan)
        inside = brain_mask(volume, None if brain is None else as_volume(brain))
        images = self._images(volume, others or {})
        grid = slice_grid(self.model.grid, inside, volume.spacing_mm)
        pixel_mm = self.model.grid.pixel_mm
        brain_slices = grid.shrink_mask(inside)
        if not brain_slices.any():
            lost = f"the brain has {int(inside.sum())} voxels, none of which is left on a grid of {pixel_mm:g} mm"
            raise DataError(lost, "check the brain mask")
        slices = {}
        for name, image in images.items():
            check_same_grid(volume, image)
            check_intensities(image, inside)
            slices[name] = grid.shrink(normalise(image.data, inside), BACKGROUND)
            check_range(slices[name], image)
        errors = self.scorer.anomaly_map(slices, brain_slices, (volume.spacing_mm[2], pixel_mm, pixel_mm))
        # On the model's own grid, where the healthy scans were scored that it is compared with.
        threshold = threshold_of_scan(self.threshold, errors[brain_slices])
        score = scan_score(errors[brain_slices])
        anomaly = np.where(inside, grid.expand(errors), 0).astype(np.float32)
        above = anomaly > threshold
        mask = without_small(above, volume.affine, self.min_lesion_ml)
        trained_on = bool(self._known) and any(image.voxels_sha256 in self._known for image in images.values())
        return Detection(
            anomaly=anomaly,
            mask=mask,
            brain=inside,
            affine=volume.affine,
            score=score,
            p_value=p_value(score, self.model.card.healthy_scores),
            threshold=threshold,
            lesion_volume_ml=float(mask.sum()) * volume.voxel_ml,
            brain_volume_ml=float(inside.sum()) * volume.voxel_ml,
            volume=volume,
            warnings=(
                *odd_about_scan(volume, inside, self.sources[0]),
                *(text for name in self.sources[1:] for text in odd_about_other(name, images[name], inside)),
                *self._odd_about_result(float(above[inside].mean()), bool(errors.any()), trained_on),
            ),
            trained_on=trained_on,
            min_lesion_ml=self.min_lesion_ml,
            findings=findings_of(mask, anomaly, inside, volume.affine, threshold, in_mni=lies_in_mni(volume.header)),
        )

    def _images(self, volume: Volume, others: Mapping[str, Scan]) -> dict[str, Volume]:
        """All modalities that the model needs, the scan first."""
        given = {self.sources[0]: volume} | {name: as_volume(other) for name, other in others.items()}
        if missing := [name for name in self.sources if name not in given]:
            raise DataError(
                f"the model needs {', '.join(self.sources)} of a subject, {', '.join(missing)} is missing",
                "give all of them, or use a model of one modality",
            )
        return {name: given[name] for name in self.sources}

    def _odd_about_result(self, above_share: float, anything_scored: bool, trained_on: bool) -> list[str]:
        found = []
        if above_share > MUCH_MARKED:
            marked = "lies above the threshold" if self.min_lesion_ml else "is marked"
            relative = self.kind != "relative" and self.model.card.threshold_of("relative") is not None
            remedy = f"{'--threshold relative, or ' if relative else ''}`mmccd calibrate`"
            found.append(
                f"{100 * above_share:.0f} % of the brain {marked}: a very large lesion, or a scan unlike those that "
                f"the threshold was chosen on (another scanner or contrast: {remedy})"
            )
        if not anything_scored:
            found.append("no slice has brain left after its rim is removed: nothing was scored")
        if trained_on:
            found.append(TRAINED_ON)
        return found
