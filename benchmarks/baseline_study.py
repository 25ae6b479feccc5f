"""How deep and in how many steps the diffusion baselines sample best: AUPRC on the slices that MMCCD was tuned on.

    python benchmarks/baseline_study.py STORE MODEL MODEL ...

The same slices as in the sampling study: the largest lesion of subjects of the training and validation parts, whose
lesions nothing was trained on. Each model is a `ddpm`, `anoddpm` or `pddpm` of one source modality. Writes
baseline_study.json and .md here.
"""

import json
import sys
from functools import partial
from pathlib import Path

from measure import machine
from sampling_study import LIMIT, evidence, map_of, sampled
from slices import largest_lesions, measure

import mmccd
from mmccd.data.store import open_store
from mmccd.model.folder import load_model

HERE = Path(__file__).parent
CHOICES = [(100, 1), (250, 1), (500, 1), (750, 1), (900, 1), (250, 5), (750, 5)]


def main() -> None:
    store = open_store(Path(sys.argv[1]))
    rows, record = [], []
    for folder in sys.argv[2:]:
        model = load_model(Path(folder))
        slices = largest_lesions(store, model.config.source, ("train", "validation"), LIMIT)
        for start, steps in CHOICES:
            method = sampled(model, start_step=start - 1, sampling_steps=steps, spacing="trailing")
            errors = {"squared": {}, "tail": {"error": evidence(method, store, model.config)}}
            kind = model.config.method
            points = [
                measure(f"{kind} {name}", f"{steps} from {start}", method, partial(map_of, method, **error), slices, 16)
                for name, error in errors.items()
            ]
            rows.append([kind, str(start), str(steps), *(str(point.interval()) for point in points)])
            record += [point.as_dict() for point in points]
    page = [
        "# How the diffusion baselines sample",
        f"Written by `python benchmarks/baseline_study.py STORE MODEL ...`: {len(slices)} slices, the largest lesion "
        f"of each subject of train and validation; {store.size_px} px; {model.config.source}, "
        f"{model.card.training.steps} training steps; AUPRC over the brain, mean over slices with 95 % "
        f"intervals; no smoothing, no polarity; mmccd {mmccd.__version__}, seed {model.config.seed}, bf16, "
        f"{machine()}.",
        "| method | noise up to step | steps back | squared error | tail evidence |\n| --- | --- | --- | --- | --- |\n"
        + "\n".join(f"| {' | '.join(row)} |" for row in rows),
    ]
    (HERE / "baseline_study.md").write_text("\n\n".join(page) + "\n")
    (HERE / "baseline_study.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
