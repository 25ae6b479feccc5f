"""What stands between x and x_hat: every score tried, on the same restorations, for each source modality.

    python benchmarks/scoring_study.py STORE MODEL [MODEL ...]

One MMCCD model per source modality (a Cyclic U-Net may stand beside it). Whole volumes of every third subject of the
training and validation parts, whose healthy slices were trained on and whose lesions nobody has used; test subjects
stay unseen. Ordinary errors come from the healthy validation slices. Writes scoring_study.json and .md here, and
docs/images/scoring_study.png.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from measure import machine
from scipy.ndimage import gaussian_filter, median_filter, sobel
from skimage.metrics import structural_similarity
from slices import Point, difference

import mmccd
from mmccd.data.store import Store, open_store
from mmccd.evaluation.metrics import auprc
from mmccd.model.model import Model, load_model
from mmccd.model.run import in_batches
from mmccd.scoring.evidence import TailEvidence
from mmccd.scoring.maps import intensity_score, smoothed, typical_polarity
from mmccd.training.calibration import count_healthy

HERE = Path(__file__).parent
CPU = torch.device("cpu")
SMOOTH_MM = 4.0


def restored(model: Model, slices: np.ndarray) -> np.ndarray:
    """x_hat of each direction, (directions, n, height, width): each pixel from the mask that hid it."""

    def stitched(source):
        values = torch.cat([hidden * x_hat for hidden, x_hat in model.method.restorations(source)])
        if len(values) == 1:
            return values[:, :, 0].float()
        half = len(values) // 2  # combs of columns, then combs of rows
        return torch.stack([values[:half].sum(dim=0), values[half:].sum(dim=0)])[:, :, 0].float()

    parts = [part for _, part in in_batches(stitched, slices, CPU, batch_size=64, bf16=True)]
    return torch.cat(parts, dim=1).numpy()


class Volumes:
    """Whole volumes of some subjects, end to end, and how to smooth and measure them."""

    def __init__(self, store: Store, subjects: list[str]) -> None:
        table = store.index[store.index["subject"].isin(subjects)]
        self.rows = table.index.to_numpy()
        self.subject = table["subject"].to_numpy()
        self.subjects = subjects
        self.brain, self.lesion = (np.asarray(store.array(name)[self.rows]) for name in ("brain", "lesion"))
        self.spacing_mm = (float(table["spacing_z_mm"].iloc[0]), store.manifest["pixel_mm"], store.manifest["pixel_mm"])

    def source(self, store: Store, name: str) -> np.ndarray:
        return np.asarray(store.array(name)[self.rows], np.float32)

    def smooth(self, score: np.ndarray, *, across: bool) -> np.ndarray:
        spacing = self.spacing_mm if across else (1e6, *self.spacing_mm[1:])
        parts = [smoothed(score[s], self.brain[s], smooth_mm=SMOOTH_MM, spacing_mm=spacing) for s in self._each()]
        return np.concatenate(parts)

    def point(self, group: str, name: str, score: np.ndarray) -> Point:
        values = [auprc(score[s][self.brain[s]], self.lesion[s][self.brain[s]]) for s in self._each()]
        found = Point(group, name, 0, 0, [float(value) for value in values])
        print(f"{group:18s} {name:44s} {found.interval()}", flush=True)
        return found

    def _each(self):
        for name in self.subjects:
            rows = np.flatnonzero(self.subject == name)
            yield slice(rows[0], rows[-1] + 1)


def scores(model: Model, store: Store, volumes: Volumes) -> dict[str, np.ndarray]:
    """Every score tried, in the order of the table."""
    source, polarity = model.config.source, typical_polarity(model.config.source)
    x = volumes.source(store, source)
    x_hat = restored(model, x)
    healthy = store.rows("validation", healthy=True)
    healthy_x, inside = np.asarray(store.array(source)[healthy], np.float32), np.asarray(store.array("brain")[healthy])
    healthy_residual = (healthy_x - restored(model, healthy_x))[:, inside]
    counts = count_healthy(model.method, store, model.config, CPU).sum(dim=0)
    residual = x - x_hat
    square = (residual**2).mean(axis=0)
    mean_x_hat = x_hat.mean(axis=0)
    edges = np.hypot(sobel(mean_x_hat, axis=1), sobel(mean_x_hat, axis=2)) / 8
    inverse = np.linalg.pinv(np.atleast_2d(np.cov(healthy_residual)))
    centred = residual - healthy_residual.mean(axis=1)[:, None, None, None]
    scales = [(gaussian_filter(residual, (0, 0, s, s)) ** 2).mean(axis=0) for s in (0.5, 1, 2)]
    similar = [structural_similarity(a, b, win_size=5, data_range=6, full=True)[1]
               for a, b in zip(x, mean_x_hat, strict=True)]  # fmt: skip

    def tail(side, unconditional=0.0):
        evidence = TailEvidence(counts, polarity=side, unconditional=unconditional)
        with torch.inference_mode():
            return evidence(torch.from_numpy(x)[:, None], torch.from_numpy(x_hat)[:, :, None]).mean(0)[:, 0].numpy()

    found = {
        "square (published)": square,
        "square, median 3 x 3": median_filter(square, (1, 3, 3)),
        "square, smoothed in the slice": volumes.smooth(square, across=False),
        "square, smoothed in 3D": volumes.smooth(square, across=True),
        "square at three scales": sum(scales),
        "square / edges": square / (edges + 1) ** 2,
        "1 - SSIM": 1 - np.stack(similar),
        "Mahalanobis over masks": np.einsum("ixyz,ij,jxyz->xyz", centred, inverse, centred, optimize=True),
        "tail, either side": tail("either"),
        "tail, either side, smoothed in 3D": volumes.smooth(tail("either"), across=True),
        "signed error": intensity_score(residual.mean(axis=0), polarity),
        "signed error / edges": intensity_score(residual.mean(axis=0) / (edges + 1), polarity),
        "tail, typical side": tail(polarity),
        "tail, typical side, half unconditional": tail(polarity, 0.5),
        "the same, smoothed in the slice": volumes.smooth(tail(polarity, 0.5), across=False),
        "best: the same, smoothed in 3D": volumes.smooth(tail(polarity, 0.5), across=True),
        "tail, typical side, smoothed in 3D": volumes.smooth(tail(polarity), across=True),
    }
    intensity = intensity_score(x, polarity)
    return found | {
        "intensity": intensity,
        "intensity, median 3 x 3": median_filter(intensity, (1, 3, 3)),
        "intensity, smoothed in 3D": volumes.smooth(intensity, across=True),
    }


def main() -> None:
    store, models = open_store(Path(sys.argv[1])), [load_model(Path(path)) for path in sys.argv[2:]]
    table = store.index[store.index["split"].isin(("train", "validation"))]
    lesioned = table.groupby("subject")["lesion_px"].sum()
    volumes = Volumes(store, sorted(lesioned[lesioned > 0].index)[::3])
    points: list[Point] = []
    fused: dict[str, np.ndarray] = {}
    for model in models:
        group = f"{model.config.source}, {model.config.method}"
        for name, score in scores(model, store, volumes).items():
            points.append(volumes.point(group, name, score))
            if model.config.method == "mmccd" and name in (
                "best: the same, smoothed in 3D",
                "intensity, smoothed in 3D",
            ):
                fused[name] = fused.get(name, 0) + score
    for name, score in fused.items():
        points.append(volumes.point("all sources at once", f"sum of: {name}", score))
    write(points, store, volumes, models)


def write(points: list[Point], store: Store, volumes: Volumes, models: list[Model]) -> None:
    about = (
        f"{len(volumes.subjects)} subjects of train and validation, whole volumes, {store.size_px} px, "
        f"mean AUPRC in the brain with 95 % bootstrap intervals; {models[0].card['training']['steps']} training steps; "
        f"smoothing {SMOOTH_MM:g} mm; mmccd {mmccd.__version__}, seed {models[0].config.seed}, {machine()}."
    )
    parts = ["# Scoring study", "Written by `python benchmarks/scoring_study.py STORE MODEL ...`. " + about]
    for group in dict.fromkeys(point.group for point in points):
        mine = {point.name: point for point in points if point.group == group}
        plain = next(mine[name] for name in ("square (published)", "sum of: intensity, smoothed in 3D") if name in mine)
        alike = mine.get("intensity, smoothed in 3D", plain)
        lines = ["| score | AUPRC | less the square | less smoothed intensity |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {p.name} | {p.interval()} | {difference(p, plain)} | {difference(p, alike)} |" for p in mine.values()
        ]
        parts += [f"## {group}", "\n".join(lines)]
    (HERE / "scoring_study.md").write_text("\n\n".join(parts) + "\n")
    record = {"about": about, "points": [point.as_dict() for point in points]}
    (HERE / "scoring_study.json").write_text(json.dumps(record, indent=1) + "\n")
    picture = HERE.parent / "docs" / "images" / "scoring_study.png"
    figure(points).savefig(picture, metadata={"Software": None})


def figure(points: list[Point]) -> Figure:
    groups = [g for g in dict.fromkeys(p.group for p in points) if g.endswith("mmccd")]
    names = list(dict.fromkeys(p.name for p in points if p.group in groups))
    drawing = Figure((9, 0.3 * len(names) + 1.2), dpi=120)
    FigureCanvasAgg(drawing)
    axis = drawing.subplots()
    for i, group in enumerate(groups):
        mine = {p.name: p.interval() for p in points if p.group == group}
        y = np.arange(len(names)) + 0.2 * (i - 1)
        means = np.array([mine[name].mean for name in names])
        spread = [[mine[n].mean - mine[n].low for n in names], [mine[n].high - mine[n].mean for n in names]]
        axis.errorbar(means, y, xerr=spread, fmt="o", ms=4, capsize=2, lw=1, label=f"{group.split(',')[0]} as input")
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("AUPRC, mean over subjects, 95 % interval")
    axis.grid(alpha=0.25, axis="x")
    axis.legend(fontsize=8)
    drawing.tight_layout()
    return drawing


if __name__ == "__main__":
    main()
