"""What accuracy needs: AUPRC against evaluations per slice, for every choice of the sampler, on the same weights.

    python benchmarks/sampling_study.py STORE MODEL NAME

MODEL is trained on all steps and on stripes, as in the paper.
Choices are made on the largest lesion of subjects of the training and validation parts (never trained on: only their
healthy slices were), so that test subjects stay unseen; a store without lesions there, as the phantom's, takes its
test part.
Writes sampling_study_NAME.json and .md here, and docs/images/sampling_study_NAME.png.
"""

import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from measure import machine
from slices import Point, difference, largest_lesions, measure

import mmccd
from mmccd.data.store import Store, open_store
from mmccd.method.anomaly_map import anomaly_map, squared_error
from mmccd.method.diffusion import NoiseSchedule, kept_steps
from mmccd.method.masked_cycle import sample_target
from mmccd.model.build import build_method
from mmccd.model.config import Config, DiffusionConfig
from mmccd.model.folder import load_model
from mmccd.model.model import Model
from mmccd.scoring.evidence import TailEvidence
from mmccd.training.calibration import count_healthy

HERE = Path(__file__).parent
LIMIT = 16
COMBS = {"masks": "combs", "combs": 2, "sampling_steps": 1, "spacing": "trailing", "masks_at_once": 4}
STRIPES = {"masks": "stripes", "stripe_stride_mm": 3.75, "sampling_steps": 1, "spacing": "trailing"}
STRIPES |= {"masks_at_once": 16}
GROUPS = {
    "steps, 4 combs": [(f"{n}", COMBS | {"sampling_steps": n}) for n in (1, 2, 5, 10, 25, 100)],
    "steps, all stripes": [(f"{n}", STRIPES | {"sampling_steps": n}) for n in (1, 2, 5, 10)],
    "stripes: stride": [(f"{mm:g} mm", STRIPES | {"stripe_stride_mm": mm}) for mm in (7.5, 15, 30)],
    "stripes: width": [
        (f"{mm:g} mm", STRIPES | {"mask_width_mm": mm, "stripe_stride_mm": mm / 2}) for mm in (15, 60, 90)
    ],
    "combs per direction": [(f"{n}", COMBS | {"combs": n}) for n in (3, 4, 6)],
    "combs: width": [(f"{mm:g} mm", COMBS | {"mask_width_mm": mm}) for mm in (15, 60)],
    "sampler": [("leading, 10 steps", COMBS | {"sampling_steps": 10, "spacing": "leading"})],
}


def sampled(model: Model, **diffusion: object) -> torch.nn.Module:
    """The same weights with another sampler."""
    settings = DiffusionConfig(**(model.config.diffusion.model_dump() | diffusion))
    method = build_method(model.config.model_copy(update={"diffusion": settings}), model.grid.size_px)
    method.load_state_dict(model.method.state_dict())
    return method.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def map_of(method, source, error=squared_error):
    return anomaly_map(source, method.restorations(source), error)


def shared_forward(method, source):
    """One translation back per direction: what is hidden by the combs of a direction is put together first."""
    found = 0
    for direction in method.masks.chunk(2):
        noise, target = method._noise(source), 0
        start = noise(source.expand(-1, method.targets, -1, -1))
        for hidden in direction:
            hidden = hidden.expand_as(source)
            target = target + hidden * sample_target(
                source, hidden, start, method.to_target, method.schedule, method.steps, randn_like=noise
            )
        found = found + (source - method.to_source(target)).square() / 2
    return found


def blocks(size_px: int, width_px: int) -> torch.Tensor:
    """Four lattices of square blocks, which together hide each pixel once."""
    block = torch.arange(size_px) // width_px % 2
    return torch.stack([(block[:, None] == i) & (block[None, :] == j) for i in (0, 1) for j in (0, 1)])


def wrapped_stripes(size_px: int, width_px: int, stride_px: int) -> torch.Tensor:
    """Stripes that go on at the other border, so that each pixel is hidden equally often."""
    stripe = torch.arange(size_px) < width_px
    lines = torch.stack([stripe.roll(start) for start in range(0, size_px, stride_px)])
    columns = lines[:, None, :].expand(-1, size_px, -1)
    return torch.cat([columns, columns.mT])


@dataclass(frozen=True)
class Ancestral(NoiseSchedule):
    """DDPM in place of DDIM: each step is a draw from q(y_t_next | y_t, y_0) (Ho et al., 2020, eq. 6 and 7)."""

    def ddim(self, noisy, clean, t, t_next):
        if t_next is None:
            return clean
        now, later = (float(self.alpha_bar[step]) for step in (t, t_next))
        kept = now / later  # signal that survives from t_next to t
        mean = later**0.5 * (1 - kept) / (1 - now) * clean + kept**0.5 * (1 - later) / (1 - now) * noisy
        noise = torch.randn(noisy.shape[1:], generator=torch.Generator().manual_seed(t))  # slices and masks share it
        return mean + ((1 - later) / (1 - now) * (1 - kept)) ** 0.5 * noise


def evidence(method, store: Store, config: Config) -> TailEvidence:
    """Without a polarity, of the healthy slices' whole brain: that is what maps are compared over here."""
    whole = config.model_copy(update={"scoring": config.scoring.model_copy(update={"edge_mm": 0.0})})
    counts = count_healthy(method, store, whole, torch.device("cpu"))
    return TailEvidence(sum(counts.values()), polarity="either")


TAIL = {
    "4 combs x 1 step": COMBS,
    "4 combs x 2 steps": COMBS | {"sampling_steps": 2},
    "4 combs x 10 steps": COMBS | {"sampling_steps": 10},
    "stripes every 15 mm x 1 step": STRIPES | {"stripe_stride_mm": 15},
    "stripes every 15 mm x 5 steps": STRIPES | {"stripe_stride_mm": 15, "sampling_steps": 5},
}


def px(mm: float, store: Store) -> int:
    return round(mm / store.grid.pixel_mm)


def study(model: Model, slices, store: Store) -> list[Point]:
    run = partial(measure, slices=slices, batch=8)
    points = []
    for group, choices in GROUPS.items():
        for name, settings in choices:
            method = sampled(model, **settings)
            points.append(run(group, name, method, partial(map_of, method)))
    method = sampled(model, **STRIPES | {"stripe_stride_mm": 7.5})
    method.masks = wrapped_stripes(store.size_px, width_px=px(30, store), stride_px=px(7.5, store))
    points.append(run("stripes: wrapped", "7.5 mm", method, partial(map_of, method)))
    method = sampled(model, **COMBS | {"sampling_steps": 10})
    method.schedule = Ancestral(method.schedule.alpha_bar)
    points.append(run("sampler", "DDPM, 10 steps", method, partial(map_of, method)))
    for count in (1, 2, 5):
        for highest in (100, 250, 500, 750):
            method = sampled(model, **COMBS)
            method.steps = kept_steps(1000, count, spacing="trailing", highest=highest)
            points.append(run("start below T, 4 combs", f"{count} from {highest}", method, partial(map_of, method)))
    for width_px in (4, 8, 16):
        method = sampled(model, **COMBS)
        method.masks, width = blocks(store.size_px, width_px), f"{width_px * store.grid.pixel_mm:g} mm"
        points.append(run("lattices of blocks", width, method, partial(map_of, method)))
    method = sampled(model, **COMBS)
    points.append(run("one way back per direction", "4 combs, 1 step", method, partial(shared_forward, method)))
    for name, settings in TAIL.items():
        method = sampled(model, **settings)
        score = partial(map_of, method, error=evidence(method, store, model.config))
        points.append(run("tail evidence, no polarity", name, method, score))
    return points


def figure(points: list[Point], title: str) -> Figure:
    drawing = Figure((9, 6), dpi=120)
    FigureCanvasAgg(drawing)
    axis = drawing.subplots()
    markers = "osD^v<>Ph*Xpd8"
    for i, group in enumerate(dict.fromkeys(point.group for point in points)):
        mine = [point for point in points if point.group == group]
        means = [point.interval() for point in mine]
        spread = [[m.mean - m.low for m in means], [m.high - m.mean for m in means]]
        line = "-" if group.startswith("steps") else ""
        axis.errorbar(
            [p.evaluations * 1.015 ** (i - 6) for p in mine],  # side by side rather than over each other
            [m.mean for m in means], spread, label=group, fmt=markers[i] + line, capsize=2, lw=1, elinewidth=0.6, ms=5,
            alpha=0.85,
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_xlabel("network evaluations per slice")
    axis.set_ylabel("AUPRC, mean over slices, 95 % interval")
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.25)
    axis.legend(fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.11), frameon=False)  # hides no point
    drawing.tight_layout()
    return drawing


def main() -> None:
    store, model, name = open_store(Path(sys.argv[1])), load_model(Path(sys.argv[2])), sys.argv[3]
    parts = ("train", "validation")
    if not (store.index.loc[store.index["split"].isin(parts), "lesion_px"] > 0).any():
        parts = ("test",)
    slices = largest_lesions(store, model.config.source, parts, LIMIT)
    points = study(model, slices, store)
    base = points[0]
    rows = [
        f"| {p.group} | {p.name} | {p.evaluations:.0f} | {p.seconds:.3f} | {p.interval()} | {difference(p, base)} |"
        for p in points
    ]
    config, card = model.config, model.card
    about = (
        f"{len(slices)} slices, the largest lesion of each subject of {' and '.join(parts)}; {store.size_px} px; "
        f"{config.source} to {', '.join(config.targets)}, {card.training.steps} training steps; squared error "
        f"where nothing else is said, no smoothing; mmccd {mmccd.__version__}, seed {config.seed}, bf16 on {machine()}."
    )
    page = [
        f"# Sampling study: {name}",
        f"Written by `python benchmarks/sampling_study.py STORE MODEL {name}`. {about}",
        "| choice | value | evaluations per slice | seconds per slice | AUPRC | difference to 4 combs x 1 step |\n"
        "| --- | --- | --- | --- | --- | --- |\n" + "\n".join(rows),
    ]
    (HERE / f"sampling_study_{name}.md").write_text("\n\n".join(page) + "\n")
    record = {"about": about, "config": model.config.model_dump(mode="json"), "points": [p.as_dict() for p in points]}
    (HERE / f"sampling_study_{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    picture = HERE.parent / "docs" / "images" / f"sampling_study_{name}.png"
    figure(points, f"{name}: {len(slices)} slices, same weights").savefig(picture, metadata={"Software": None})


if __name__ == "__main__":
    main()
