"""What accuracy needs: AUPRC against evaluations per slice, for every choice of the sampler, on the same weights.

    python benchmarks/sampling_study.py STORE MODEL NAME [SAMPLER_TRAINED_MODEL]

MODEL is trained on all steps and on stripes, as published; SAMPLER_TRAINED_MODEL for the steps and masks of `fast`.
Choices are made on the largest lesion of subjects of the training and validation parts (never trained on: only their
healthy slices were), so that test subjects stay unseen; a store without lesions there, as the phantom's, takes its
test part.
Writes sampling_study_NAME.json and .md here, and docs/images/sampling_study_NAME.png.
"""

import json
import sys
from functools import partial
from pathlib import Path

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from measure import machine
from slices import Point, difference, largest_lesions, measure

import mmccd
from mmccd.data.store import Store, open_store
from mmccd.method.cycle import cycle_map, squared_error
from mmccd.method.diffusion import kept_steps
from mmccd.method.inpainting import sample_target
from mmccd.model.build import build_method
from mmccd.model.config import DiffusionConfig
from mmccd.model.model import Model, load_model
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
    "stripes: wrapped": [("7.5 mm", STRIPES | {"stripe_stride_mm": 7.5, "stripes_wrap": True})],
    "combs per direction": [(f"{n}", COMBS | {"combs": n}) for n in (3, 4, 6)],
    "combs: width": [(f"{mm:g} mm", COMBS | {"mask_width_mm": mm}) for mm in (15, 60)],
    "sampler": [("DDPM, 10 steps", COMBS | {"sampling_steps": 10, "sampler": "ddpm"}),
                ("leading, 10 steps", COMBS | {"sampling_steps": 10, "spacing": "leading"})],
}  # fmt: skip


def sampled(model: Model, **diffusion: object) -> torch.nn.Module:
    """The same weights with another sampler."""
    settings = DiffusionConfig(**(model.config.diffusion.model_dump() | diffusion))
    method = build_method(model.config.model_copy(update={"diffusion": settings}))
    method.load_state_dict(model.method.state_dict())
    return method.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def map_of(method, source, error=squared_error):
    return cycle_map(source, method.restorations(source), error)


def shared_forward(method, source):
    """One translation back per direction: what is hidden by the combs of a direction is put together first."""
    masks, found = method.masks_for(source.shape[-1]), 0
    for direction in masks.chunk(2):
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


TAIL = {
    "4 combs x 1 step": COMBS,
    "4 combs x 2 steps": COMBS | {"sampling_steps": 2},
    "4 combs x 10 steps": COMBS | {"sampling_steps": 10},
    "stripes every 15 mm x 1 step": STRIPES | {"stripe_stride_mm": 15},
    "stripes every 15 mm x 5 steps": STRIPES | {"stripe_stride_mm": 15, "sampling_steps": 5},
}


def study(model: Model, slices, trained_for: Model | None, store: Store) -> list[Point]:
    run = partial(measure, slices=slices, batch=8)
    points = []
    for group, choices in GROUPS.items():
        for name, settings in choices:
            method = sampled(model, **settings)
            points.append(run(group, name, method, partial(map_of, method)))
    for count in (1, 2, 5):
        for highest in (100, 250, 500, 750):
            method = sampled(model, **COMBS)
            method.steps = kept_steps(1000, count, spacing="trailing", highest=highest)
            points.append(run("start below T, 4 combs", f"{count} from {highest}", method, partial(map_of, method)))
    for width_px in (4, 8, 16):
        method = sampled(model, **COMBS)
        method.masks_for = partial(blocks, width_px=width_px)
        points.append(run("lattices of blocks", f"{width_px * 240 / 64:g} mm", method, partial(map_of, method)))
    method = sampled(model, **COMBS)
    points.append(run("one way back per direction", "4 combs, 1 step", method, partial(shared_forward, method)))
    for name, settings in TAIL.items():
        method = sampled(model, **settings)
        counts = count_healthy(method, store, model.config, torch.device("cpu")).sum(dim=0)
        score = partial(map_of, method, error=TailEvidence(counts, polarity="either"))
        points.append(run("tail evidence, no polarity", name, method, score))
    if trained_for:
        for n in (1, 10):
            method = sampled(trained_for, **COMBS | {"sampling_steps": n})
            points.append(run("trained for 4 combs x 1 step", f"{n} steps", method, partial(map_of, method)))
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
    trained_for = load_model(Path(sys.argv[4])) if len(sys.argv) > 4 else None
    parts = ("train", "validation")
    if not (store.index.loc[store.index["split"].isin(parts), "lesion_px"] > 0).any():
        parts = ("test",)
    slices = largest_lesions(store, model.config.source, parts, LIMIT)
    points = study(model, slices, trained_for, store)
    base = points[0]
    rows = [
        f"| {p.group} | {p.name} | {p.evaluations:.0f} | {p.seconds:.3f} | {p.interval()} | {difference(p, base)} |"
        for p in points
    ]
    config, card = model.config, model.card
    about = (
        f"{len(slices)} slices, the largest lesion of each subject of {' and '.join(parts)}; {store.size_px} px; "
        f"{config.source} to {', '.join(config.targets)}, {card['training']['steps']} training steps; squared error "
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
