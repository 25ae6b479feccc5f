"""The sampler of `fast` against that of the paper: same weights, same slices, one run.

    python benchmarks/fast_against_paper.py STORE MODEL NAME

128 stripes x 100 DDIM steps (12,928 evaluations a slice) against 4 combs x 1 step (8), on the largest lesion of each
test subject. Both run in bf16 and in large batches. Writes fast_against_paper_NAME.json and .md here.
"""

import json
import sys
from functools import partial
from pathlib import Path

from measure import machine
from sampling_study import map_of, sampled
from slices import difference, largest_lesions, measure

import mmccd
from mmccd.data.store import open_store
from mmccd.model.config import load_config
from mmccd.model.folder import load_model

HERE = Path(__file__).parent


def main() -> None:
    store, model, name = open_store(Path(sys.argv[1])), load_model(Path(sys.argv[2])), sys.argv[3]
    slices = largest_lesions(store, model.config.source, ("test",))
    points = []
    for preset, batch, at_once in (("fast", 16, 4), ("paper", 16, 16)):
        settings = load_config(preset).diffusion.model_dump() | {"masks_at_once": at_once}
        method = sampled(model, **settings)
        if preset == "fast":
            map_of(method, slices.source[:1, None])  # warms up the libraries
        points.append(measure("sampler", preset, method, partial(map_of, method), slices, batch))
    fast, paper = points
    change = difference(fast, paper)
    goals = [
        ("fewer network evaluations", f"{paper.evaluations / fast.evaluations:,.0f} times", "1,000 times"),
        ("less wall time per slice", f"{paper.seconds / fast.seconds:,.0f} times", "1,000 times"),
        ("AUPRC, fast less paper", str(change), "the interval holds 0 or lies above"),
    ]
    page = [
        f"# fast against the paper's sampler: {name}",
        f"Written by `python benchmarks/fast_against_paper.py STORE MODEL {name}`: {len(slices)} slices, the "
        f"largest lesion of each test subject, {store.size_px} px, {model.config.source} to "
        f"{', '.join(model.config.targets)}, one set of weights "
        f"({model.card.training.steps} training steps, {model.config.diffusion.masks}), squared error, bf16, "
        f"mmccd {mmccd.__version__}, seed {model.config.seed}, {machine()}.",
        "| sampler | evaluations per slice | seconds per slice | AUPRC |\n| --- | --- | --- | --- |\n"
        + "\n".join(f"| {p.name} | {p.evaluations:,.0f} | {p.seconds:.4f} | {p.interval()} |" for p in points),
        "| goal | reached | asked |\n| --- | --- | --- |\n" + "\n".join(f"| {a} | {b} | {c} |" for a, b, c in goals),
    ]
    (HERE / f"fast_against_paper_{name}.md").write_text("\n\n".join(page) + "\n")
    record = {"machine": machine(), "config": model.config.model_dump(mode="json"),
              "points": [p.as_dict() for p in points]}  # fmt: skip
    (HERE / f"fast_against_paper_{name}.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
