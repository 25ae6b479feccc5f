"""What was found in one scan, to look at: three planes, a table, and both in a notebook. nilearn draws."""

import base64
import io
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pandas as pd
from markupsafe import Markup
from nilearn.plotting import plot_stat_map

from mmccd.figures import MAP_COLOURS, MASK, window

if TYPE_CHECKING:
    from mmccd.prediction.detector import Detection

Place = tuple[float, float, float]
LEAST = 1e-6
"""A map is shown from above 0."""
OPAQUE = 0.7
"""Of the map: what it lies on shows through."""
DPI = 80
"""Of the picture in a notebook."""


def strongest_place(detection: "Detection") -> Place:
    """Right, front and up, in the scan's millimetres: of the finding with the highest peak, else of the map's."""
    if detection.findings:
        return max(detection.findings, key=lambda finding: finding.peak).centre_mm
    voxel = np.unravel_index(int(np.where(detection.brain, detection.anomaly, -np.inf).argmax()), detection.brain.shape)
    x, y, z = (float(value) for value in detection.affine[:3, :3] @ voxel + detection.affine[:3, 3])
    return x, y, z


def plot(detection: "Detection", *, cut_coords: Place | None, title: str | None, output_file: Path | None) -> Any:
    """Three planes by `nilearn.plotting.plot_stat_map`: the map above half the threshold, and what is marked."""
    threshold = max(detection.threshold, LEAST)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "empty mask", UserWarning)  # a map that stays below is as it should be
        display = _planes(detection, threshold, cut_coords, title)
    if detection.mask.any():
        mask = nib.Nifti1Image(detection.mask.astype(np.uint8), detection.affine)
        display.add_contours(mask, levels=[0.5], colors=[MASK])
    if output_file is not None:
        display.savefig(str(output_file))
    return display


def _planes(detection: "Detection", threshold: float, cut_coords: Place | None, title: str | None) -> Any:
    low, high = window(detection.volume.data, detection.brain)
    return plot_stat_map(
        nib.Nifti1Image(detection.anomaly, detection.affine),
        bg_img=nib.Nifti1Image(np.clip(detection.volume.data, low, high), detection.affine),
        cut_coords=cut_coords or strongest_place(detection),
        title=title,
        cmap=MAP_COLOURS,
        threshold=threshold / 2,
        vmin=0.0,
        vmax=2 * threshold,
        symmetric_cbar=False,
        radiological=True,
        black_bg=True,
        dim=0,
        transparency=OPAQUE,
    )


def table(detection: "Detection") -> pd.DataFrame:
    """A row for each finding, the largest first."""
    columns = ["number", "volume_ml", "peak", "mean", "x_mm", "y_mm", "z_mm", "side"]
    rows = []
    for finding in detection.findings:
        place = dict(zip(("x_mm", "y_mm", "z_mm"), finding.centre_mm, strict=True))
        rows.append({**asdict(finding), **place})
    return pd.DataFrame(rows, columns=columns)


def html(detection: "Detection") -> str:
    """Numbers, warnings and the three planes, with nothing that is loaded from elsewhere."""
    picture = io.BytesIO()
    display = plot(detection, cut_coords=None, title=None, output_file=None)
    display.frame_axes.figure.savefig(picture, dpi=DPI, facecolor="black")
    display.close()
    facts = {
        "score": f"{detection.score:.3g}",
        "p": f"{detection.p_value:.2g}",
        "marked": f"{detection.lesion_volume_ml:.1f} ml in {len(detection.findings)} findings",
        "threshold": f"{detection.threshold:.3g}",
    }
    numbers = Markup(" · ").join(Markup("{} <b>{}</b>").format(name, value) for name, value in facts.items())
    remarks = Markup("").join(Markup("<li>{}</li>").format(text) for text in detection.warnings)
    return str(
        Markup('<div><p>{}</p><img alt="{}" src="data:image/png;base64,{}">{}</div>').format(
            numbers,
            "three planes through the strongest finding",
            base64.b64encode(picture.getvalue()).decode(),
            Markup("<ul>{}</ul>").format(remarks) if remarks else "",
        )
    )
