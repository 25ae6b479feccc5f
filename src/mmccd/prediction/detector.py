"""The detector: a trained model and one scan of its source modality to an anomaly map, a mask and a score."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmccd.data.grid import slice_grid
from mmccd.data.own_folders import ANOMALY_END, MASK_END
from mmccd.data.volumes import (
    Volume,
    brain_mask,
    check_intensities,
    check_range,
    check_same_grid,
    read_volume,
    write_volume,
)
from mmccd.errors import ConfigError, DataError
from mmccd.method.intensity import BACKGROUND, normalise
from mmccd.model.build import Method
from mmccd.model.model import Fusion, Model, known_scans, load_any
from mmccd.model.openvino import accelerate
from mmccd.model.run import anomaly_volume
from mmccd.scoring.maps import intensity_score, scan_score, smoothed
from mmccd.scoring.thresholds import own_level, p_value
from mmccd.system.devices import choose_device, uses_bf16

RUNTIMES = ("torch", "openvino")
THRESHOLDS = {"voxel": "threshold", "scan": "scan_threshold", "relative": "relative_threshold"}
"""What is promised, and the name of that threshold on a model's card."""
TRAINED_ON = "the model was trained or calibrated on this very scan: what it finds here says little about others"
MUCH_MARKED = 0.2
"""Share of the brain; the largest lesion of 45 patients with glioma covers 0.18 of it."""


@dataclass(frozen=True)
class Detection:
    """What was found in one scan. Arrays are (x, y, z) in RAS+; `save` writes them on the scan's own grid.

    Attributes:
        anomaly: float32, squared cycle error or evidence in nats; 0 outside the scored part of the brain.
        mask: True where the anomaly exceeds the threshold.
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
        intensity_thresholds: And polarity, of the plain intensity that `mmccd evaluate` shows beside the model.
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
    intensity_thresholds: dict[str, Any]

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


class Detector:
    """Finds anomalies in scans of one modality; or, with a fusion, of several modalities of one subject.

    Args:
        model: Networks and card, or several of them.
        device: Where to compute; see `mmccd.system.devices`.
        batch_size: Slices at a time.
        runtime: What runs the networks: ``torch``, or ``openvino`` (an extra, for CPUs).
        threshold: ``voxel`` marks a known share of a healthy brain, ``scan`` nothing at all in most healthy scans;
            ``relative`` is ``voxel`` above each scan's own level, see `mmccd.scoring.thresholds.own_level`.

    Raises:
        ConfigError: device, runtime or threshold are unknown, do not fit each other, or are not there.

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
    ) -> None:
        self.model = model
        self.device = choose_device(device)
        self.batch_size = batch_size
        self.runtime = runtime
        _check_runtime(runtime, self.device)
        if threshold not in THRESHOLDS:
            raise ConfigError(f"threshold is {threshold!r}, expected one of {', '.join(THRESHOLDS)}", "voxel is usual")
        kind, baseline = THRESHOLDS[threshold], model.card["intensity_baseline"]
        known = {name for name, key in THRESHOLDS.items() if model.card.get(key) and baseline.get(key)}
        if threshold not in known:
            raise ConfigError(
                f"the model has no threshold {threshold!r}, it was made by a version that did not know it",
                f"leave it out, or `mmccd {'fuse' if isinstance(model, Fusion) else 'calibrate'}` it anew",
            )
        follows = "--threshold relative, or " if "relative" in known - {threshold} else ""
        self._remedy = f"{follows}`mmccd calibrate`"
        self.threshold: dict[str, Any] = model.card[kind]
        self.intensity_baseline: dict[str, Any] = {
            "polarity": baseline["polarity"],
            "smooth_mm": baseline["smooth_mm"],
            "threshold": baseline[kind]["plain"],
            "smoothed_threshold": baseline[kind]["smoothed"],
        }
        self.sources = tuple(member.config.source for member in model.members)
        self._known = known_scans(model)
        self._methods = [self._on_device(member) for member in model.members]

    @classmethod
    def load(cls, folder: Path | str, **settings: Any) -> "Detector":
        """Read what `mmccd train` or `fuse` wrote, or for example ``builtin:flair``; ``settings`` as above."""
        return cls(load_any(folder), **settings)

    def detect(
        self,
        scan: Path | str | Volume,
        *,
        brain: Path | str | Volume | None = None,
        others: Mapping[str, Path | str | Volume] | None = None,
    ) -> Detection:
        """Score one scan.

        Args:
            scan: A file, or a volume in memory, of the model's source modality.
            brain: Brain mask; without one the scan must be skull-stripped and its brain is what lies above zero.
            others: For a fusion: the subject's further modalities by name, on the grid of ``scan``.

        Raises:
            DataError: the scan cannot be read or used; see `mmccd.data.volumes`; or a modality of a fusion is missing.
            GridError: the brain mask or another modality lies on another grid.
        """
        volume = _as_volume(scan)
        given = None if brain is None else _as_volume(brain)
        inside = brain_mask(volume, given)
        images = {self.sources[0]: volume} | {name: _as_volume(other) for name, other in (others or {}).items()}
        if missing := [name for name in self.sources if name not in images]:
            raise DataError(
                f"the model needs {', '.join(self.sources)} of a subject, {', '.join(missing)} is missing",
                "give all of them, or use a model of one modality",
            )
        protocol, size_px, pixel_mm = (self.model.card["grid"][key] for key in ("protocol", "size_px", "pixel_mm"))
        grid = slice_grid(protocol, inside, volume.spacing_mm, size_px, pixel_mm)
        brain_slices = grid.shrink_mask(inside)
        if not brain_slices.any():
            lost = f"the brain has {int(inside.sum())} voxels, none of which is left on a grid of {pixel_mm:g} mm"
            raise DataError(lost, "check the brain mask")
        slices = {}
        for name in self.sources:
            image = images[name]
            check_same_grid(volume, image)
            check_intensities(image, inside)
            slices[name] = grid.shrink(normalise(image.data, inside), BACKGROUND)
            check_range(slices[name], image)
        errors = self.score_slices(slices, brain_slices, volume.spacing_mm[2])
        anomaly = np.where(inside, grid.expand(errors), 0).astype(np.float32)
        trained_on = bool(self._known) and any(images[name].voxels_sha256 in self._known for name in self.sources)
        threshold, intensity = self._thresholds_of_scan(
            errors, slices[self.sources[0]], brain_slices, volume.spacing_mm[2]
        )
        mask = anomaly > threshold
        # On the model's own grid, where the healthy scans were scored that it is compared with.
        score = scan_score(errors, brain_slices)
        return Detection(
            anomaly=anomaly,
            mask=mask,
            brain=inside,
            affine=volume.affine,
            score=score,
            p_value=p_value(score, self.model.card["healthy_scores"]),
            threshold=threshold,
            lesion_volume_ml=float(mask.sum()) * volume.voxel_ml,
            brain_volume_ml=float(inside.sum()) * volume.voxel_ml,
            volume=volume,
            warnings=_warnings(
                volume, inside, mask, anything_scored=bool(errors.any()), trained_on=trained_on, remedy=self._remedy
            ),
            trained_on=trained_on,
            intensity_thresholds=intensity,
        )

    def score_slices(
        self, slices: Mapping[str, NDArray[np.float32]], brain: NDArray[np.bool_], slice_mm: float
    ) -> NDArray[np.float32]:
        """The anomaly map of normalised slices of one subject on the model's own grid, as a store holds them.

        Args:
            slices: By source modality, each (n, size_px, size_px), neighbours next to each other.
            brain: Of the same shape.
            slice_mm: Distance between slices.
        """
        maps = [
            anomaly_volume(
                method,
                member.error,
                slices[member.config.source],
                brain,
                member.config.scoring,
                pixel_mm=self.model.card["grid"]["pixel_mm"],
                slice_mm=slice_mm,
                device=self.device,
                batch_size=self.batch_size,
                bf16=uses_bf16(member.config.training.precision, self.device),
            )
            for method, member in zip(self._methods, self.model.members, strict=True)
        ]
        return np.asarray(np.sum(maps, axis=0), dtype=np.float32)

    def _thresholds_of_scan(
        self, errors: NDArray[np.float32], source: NDArray[np.float32], brain: NDArray[np.bool_], slice_mm: float
    ) -> tuple[float, dict[str, Any]]:
        """The threshold of this scan's map, and what `evaluate` needs to cut its plain intensity alike."""
        threshold, intensity = float(self.threshold["value"]), self.intensity_baseline
        if "added_to" not in self.threshold:
            return threshold, intensity
        pixel_mm = self.model.card["grid"]["pixel_mm"]
        plain = intensity_score(source, intensity["polarity"])
        mean = smoothed(plain, brain, smooth_mm=intensity["smooth_mm"], spacing_mm=(slice_mm, pixel_mm, pixel_mm))
        return max(0.0, threshold + own_level(errors[brain])), intensity | {
            "threshold": intensity["threshold"] + own_level(plain[brain]),
            "smoothed_threshold": intensity["smoothed_threshold"] + own_level(mean[brain]),
        }

    def _on_device(self, member: Model) -> Method:
        method: Method = member.method.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.runtime == "torch":
            return method
        return accelerate(method, bf16=uses_bf16(member.config.training.precision, self.device))


def _as_volume(scan: Path | str | Volume) -> Volume:
    return scan if isinstance(scan, Volume) else read_volume(scan)


def _check_runtime(runtime: str, device: torch.device) -> None:
    if runtime not in RUNTIMES:
        raise ConfigError(f"runtime is {runtime!r}, expected one of {', '.join(RUNTIMES)}", "torch is a safe choice")
    if runtime == "openvino" and device.type != "cpu":
        raise ConfigError(
            f"the runtime openvino computes on the CPU, not on {device}", "use --device cpu, or leave --runtime out"
        )


def _warnings(
    volume: Volume,
    brain: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    *,
    anything_scored: bool,
    trained_on: bool,
    remedy: str,
) -> tuple[str, ...]:
    found = list(volume.doubts)
    brain_ml = float(brain.sum()) * volume.voxel_ml
    if brain_ml < 600:
        found.append(f"the brain measures only {brain_ml:.0f} ml: part of it may be missing")
    if max(volume.spacing_mm[:2]) > 3:
        found.append(f"axial pixels of {max(volume.spacing_mm[:2]):.1f} mm are coarse: small lesions are lost")
    share = float(mask[brain].mean())
    if share > MUCH_MARKED:
        found.append(
            f"{100 * share:.0f} % of the brain is marked: a very large lesion, or a scan unlike those that the "
            f"threshold was chosen on (another scanner or contrast: {remedy})"
        )
    if not anything_scored:
        found.append("no slice has brain left after its rim is removed: nothing was scored")
    if trained_on:
        found.append(TRAINED_ON)
    return tuple(found)
