"""The figure of the paper, from a trained model: input, mask, imagined target, cycle, and error, slice by slice.

    python benchmarks/paper_figure.py MODEL STORE [SHOWN]

MODEL is one of `--method mmccd`. Of the test subjects of STORE the slice with most tumour is scored in the paper's
protocol; shown are the best, some evenly between, and the worst by its Dice. Writes docs/images/paper_SOURCE.png.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from volumes import CPU

from mmccd.comparison.contenders import SQUARED
from mmccd.comparison.judge import Judge
from mmccd.comparison.scores import Scan, scans, score_lesion_slices, score_paper_protocol
from mmccd.data.store import Store, open_store
from mmccd.figures import LESION, MAP_COLOURS, MASK, Panel, frame, grid_png
from mmccd.method.anomaly_map import anomaly_map, squared_error
from mmccd.method.masked_cycle import MaskedCycle, sample_target
from mmccd.method.noise import shared_noise
from mmccd.model.config import load_config
from mmccd.model.folder import load_model
from mmccd.model.scorer import ModelScorer
from mmccd.system.files import write_atomically

SHOWN = 5
HOTTEST = 0.995
IMAGES = Path(__file__).parents[1] / "docs" / "images"


@dataclass(frozen=True)
class Pictures:
    """One slice on its way through the cycle, each (height, width)."""

    seen: np.ndarray
    hidden: np.ndarray
    imagined: np.ndarray
    target: np.ndarray
    restored: np.ndarray
    error: np.ndarray


def main() -> None:
    model, store = load_model(sys.argv[1]), open_store(Path(sys.argv[2]))
    shown = int(sys.argv[3]) if len(sys.argv) > 3 else SHOWN
    config, method = model.config, model.method
    if not isinstance(method, MaskedCycle):
        raise SystemExit(f"{sys.argv[1]} is a {config.method}, expected mmccd")
    source, target = config.source, config.targets[0]
    paper = load_config([], {**config.model_dump(mode="json"), **SQUARED})
    scorer = ModelScorer(method, squared_error, paper, CPU)
    pieces, _ = score_lesion_slices(Judge(scorer, model.card.thresholds), store, source)
    rows = sorted(score_paper_protocol(pieces, store.grid.pixel_mm), key=lambda row: -row["dice"])
    chosen = [rows[at] for at in np.linspace(0, len(rows) - 1, shown).round().astype(int)]
    tested = {scan.expert.id: (scan, other) for scan, other in zip(*both(store, source, target), strict=True)}
    panels = [panels_of(method, *tested[row["case"]]) for row in chosen]
    picture = grid_png(
        panels,
        columns=[f"{source} x", "x, hidden in part", f"imagined {target} ŷ", f"{target} y", "cycle x̂ = g(ŷ)",
                 "mean error of all masks"],
        names=[f"Dice {row['dice']:.2f}" for row in chosen],
        title=f"MMCCD, {source} → {target} → {source}: {shown} of {len(rows)} test patients, best to worst",
        caption="Dice in the paper's protocol, with a threshold from these labels. Yellow: the mask of this row. "
        "Cyan: the expert's outline. Scans: BraTS 2021 and BraTS-Africa, CC BY 4.0.",
    )  # fmt: skip
    write_atomically(IMAGES / f"paper_{source}.png", picture)


def both(store: Store, source: str, target: str) -> tuple[list[Scan], list[Scan]]:
    """The test subjects in either modality."""
    return list(scans(store, "test", source)), list(scans(store, "test", target))


def panels_of(method: MaskedCycle, scan: Scan, other: Scan) -> list[Panel]:
    """Of the slice with most lesion, with the mask that hides most of it."""
    at = int(scan.expert.lesion.sum(axis=(0, 1)).argmax())
    lesion = scan.expert.lesion[..., at]
    found = through_the_cycle(method, scan.source[at], lesion, other.source[at])
    x, y = frame(scan.brain[at], scan.spacing_mm[1:])
    high = float(np.quantile(found.seen[scan.brain[at]], HOTTEST))
    bright = float(np.quantile(found.target[scan.brain[at]], HOTTEST))
    error = np.where(scan.brain[at], found.error, 0)
    hottest = float(np.quantile(error[scan.brain[at]], HOTTEST))
    outlined, veiled = ((LESION, lesion[x, y]),), ((MASK, found.hidden[x, y]),)
    return [
        Panel(found.seen[x, y], -3, high, outlines=outlined),
        Panel(np.where(found.hidden, -3, found.seen)[x, y], -3, high, outlines=veiled),
        Panel(found.imagined[x, y], -3, bright, outlines=veiled),
        Panel(found.target[x, y], -3, bright, outlines=outlined),
        Panel(found.restored[x, y], -3, high, outlines=veiled),
        Panel(error[x, y], 0, hottest, MAP_COLOURS, outlines=outlined),
    ]


@torch.inference_mode()
def through_the_cycle(method: MaskedCycle, seen: np.ndarray, lesion: np.ndarray, target: np.ndarray) -> Pictures:
    """One slice under one mask, and its error over all masks."""
    x = torch.from_numpy(np.ascontiguousarray(seen, np.float32))[None, None]
    covered = (method.masks & torch.from_numpy(np.ascontiguousarray(lesion))).sum(dim=(1, 2))
    hidden = method.masks[int(covered.argmax())][None, None]
    noise = shared_noise(x, method.targets, len(method.steps))
    imagined = sample_target(
        x, hidden, noise(x.expand(-1, method.targets, -1, -1)), method.to_target, method.schedule, method.steps,
        randn_like=noise,
    )  # fmt: skip
    error = anomaly_map(x, method.restorations(x), squared_error)
    return Pictures(
        seen, hidden[0, 0].numpy(), imagined[0, 0].numpy(), target, method.to_source(imagined)[0, 0].numpy(),
        error[0, 0].numpy(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
