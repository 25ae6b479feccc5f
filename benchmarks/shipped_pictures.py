"""What a model that ships finds in patients that it never saw: those where it is best, and those where it is worst.

    MMCCD_DATA=/path/to/scans python benchmarks/shipped_pictures.py [SOURCE]

The patients are the test part of builtin_weights.py, ranked by Dice of the label-free threshold over the whole scan.
Writes docs/images/shipped_SOURCE.png.
"""

import os
import sys
from pathlib import Path

import numpy as np
from builtin_weights import held_out

import mmccd
from mmccd.data.cohort import read_cohort
from mmccd.data.subject import load_case
from mmccd.evaluation.metrics import Confusion
from mmccd.figures import LESION, MAP_COLOURS, MASK, Panel, grid_png
from mmccd.system.files import write_atomically

SHOWN = 3
MARGIN = 3
ROWS = ("scan", "anomaly map", "found, and\nthe expert's")


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else "flair"
    data = Path(os.environ["MMCCD_DATA"])
    cohort, detector = read_cohort(data / "brats128"), mmccd.Detector.load(f"builtin:{source}")
    found = {}
    for name in held_out(data):
        case = load_case(cohort.subject(name), [source])
        detection = detector.detect(case.images[source])
        found[name] = (Confusion.between(detection.mask, case.lesion).dice, case, detection)
    names = sorted(found, key=lambda name: -found[name][0])
    panels = [columns(*found[name], source) for name in names[:SHOWN] + names[-SHOWN:]]
    picture = grid_png(
        list(zip(*panels, strict=True)),
        columns=[f"Dice {found[name][0]:.2f}" for name in names[:SHOWN] + names[-SHOWN:]],
        names=ROWS,
        title=f"builtin:{source} on patients it never saw: best and worst {SHOWN} of {len(names)}",
        caption="Yellow: above the threshold set on healthy tissue. Cyan: the expert's outline. "
        "Scans: BraTS 2021 and BraTS-Africa, CC BY 4.0.",
    )
    write_atomically(Path(__file__).parents[1] / "docs" / "images" / f"shipped_{source}.png", picture)


def columns(_dice: float, case, detection, source: str) -> tuple[Panel, Panel, Panel]:
    """The slice with most lesion, cut to the brain: scan, map, and what was marked beside what the expert drew."""
    z = int(case.lesion.sum(axis=(0, 1)).argmax())
    inside = np.argwhere(detection.brain[:, :, z])
    middle, half = (inside.min(0) + inside.max(0)) // 2, int(np.ptp(inside, axis=0).max()) // 2 + MARGIN
    x, y = (slice(max(0, at - half), at + half) for at in middle)
    image, brain, anomaly = case.images[source].data, detection.brain, detection.anomaly
    high, hot = float(np.quantile(image[brain], 0.995)), float(np.quantile(anomaly[brain], 0.995))
    outlines = ((LESION, case.lesion[x, y, z]), (MASK, detection.mask[x, y, z]))
    return (
        Panel(image[x, y, z], 0, high),
        Panel(anomaly[x, y, z], 0, hot, MAP_COLOURS),
        Panel(image[x, y, z], 0, high, outlines=outlines),
    )


if __name__ == "__main__":
    main()
