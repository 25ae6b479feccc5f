"""What a model that ships makes of simulated scans: without a lesion, with lesions, and with artefacts.

    python benchmarks/gallery_pictures.py [SOURCE]

The scans are the first of each kind of `mmccd phantom COHORT --subjects 1 --lesions 12`. No data is needed.
Writes docs/images/gallery_SOURCE.png.
"""

import sys
from pathlib import Path

import numpy as np

import mmccd
from mmccd.data.volumes import new_volume
from mmccd.figures import LESION, MAP_COLOURS, MASK, Panel, frame, grid_png, window
from mmccd.simulation.anatomy import Grid
from mmccd.simulation.phantom import PhantomSubject, plan_cohort, simulate
from mmccd.system.files import write_atomically

SEED = 0
SPACING_MM = 2.0
TITLES = {"healthy": "no lesion", "glioma": "glioma", "ms": "MS-like lesions", "drop": "missing signal",
          "ghosting": "ghosts", "spike": "spikes"}  # fmt: skip
ROWS = ("scan", "anomaly map", "marked, and\nsimulated")


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else "flair"
    detector = mmccd.Detector.load(f"builtin:{source}")
    firsts = {}
    for subject in plan_cohort(1, 12):
        firsts.setdefault(subject.artefact or subject.kind, subject)
    panels = [column(detector, firsts[kind], source) for kind in TITLES]
    picture = grid_png(
        list(zip(*panels, strict=True)),
        columns=list(TITLES.values()),
        names=ROWS,
        title=f"builtin:{source} on simulated scans, which it never saw",
        caption="Yellow: above the threshold that it came with. Cyan: what was simulated.",
        threshold=detector.model.card.thresholds.voxel.value,
    )
    write_atomically(Path(__file__).parents[1] / "docs" / "images" / f"gallery_{source}.png", picture)


def column(detector: mmccd.Detector, subject: PhantomSubject, source: str) -> tuple[Panel, Panel, Panel]:
    """The slice with most of what was simulated; where nothing was, the one with the strongest finding."""
    grid = Grid(SPACING_MM)
    scans, labels = simulate(subject, SEED, grid)
    detection = detector.detect(new_volume(scans[source], grid.affine))
    truth = labels > 0
    weight = truth if truth.any() else np.where(detection.mask, detection.anomaly, 0)
    z = int((weight if weight.any() else detection.brain).sum(axis=(0, 1)).argmax())
    x, y = frame(np.any(detection.brain, axis=2), (SPACING_MM, SPACING_MM))
    image = detection.volume.data
    low, high = window(image, detection.brain)
    outlines = ((LESION, truth[x, y, z]), (MASK, detection.mask[x, y, z]))
    print(subject.id, subject.kind, subject.artefact, f"{detection.lesion_volume_ml:.1f} ml, p {detection.p_value:.2f}")
    return (
        Panel(image[x, y, z], low, high),
        Panel(detection.anomaly[x, y, z], 0, 2 * detection.threshold, MAP_COLOURS),
        Panel(image[x, y, z], low, high, outlines=outlines),
    )


if __name__ == "__main__":
    main()
