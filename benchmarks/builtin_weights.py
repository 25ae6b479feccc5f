"""The models that ship with the package: trained, calibrated, measured on held-out patients, and described.

    MMCCD_DATA=/path/to/scans python benchmarks/builtin_weights.py WORK

Needs `brats128` in $MMCCD_DATA, and for what is measured elsewhere `open_ms`, `ms_second_centre` and `odd`. Trains on
those patients of brats128 whose scans come from BraTS 2021 and BraTS-Africa (CC BY 4.0) and that are not in its test
part. Writes src/mmccd/model/weights; a model that WORK holds is not trained again.
"""

import csv
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from builtin_lesions import PAIR, SIZES, VISITS, bright, drawn_twice, gliomas, sclerosis, visits
from measure import machine, run
from small_lesions import ms_scans

import mmccd
from mmccd.comparison.contenders import INTENSITIES, Contender
from mmccd.comparison.judge import judge_intensity, judge_model
from mmccd.comparison.scores import score_volumes
from mmccd.data.store import open_store
from mmccd.data.volumes import read_volume
from mmccd.errors import DataError
from mmccd.evaluation.intervals import bootstrap_mean
from mmccd.evaluation.metrics import Confusion, auprc, lesion_f1
from mmccd.evaluation.tables import markdown_table
from mmccd.model.folder import load_model, save_model
from mmccd.prediction.detector import Detector
from mmccd.system.files import write_atomically
from mmccd.training.calibrate import calibrate

HERE = Path(__file__).parent
WEIGHTS = Path(mmccd.__file__).parent / "model" / "weights"
FINE = "--set training.healthy=regions --set training.steps=600 --set training.validate_every=200"
COARSE = "--set training.steps=600 --set training.validate_every=300"


@dataclass(frozen=True)
class Recipe:
    """How one model is made: targets, side of the slices, further settings."""

    targets: str
    size_px: int
    training: str


RECIPES = {
    "flair": Recipe("t1,t2", 128, FINE),
    "t1": Recipe("flair,t2", 128, FINE),
    # On its validation patients the finer one was worse: docs/decisions/0029-small-lesions.md
    "t2": Recipe("flair,t1", 64, COARSE),
}
LICENSED = ("brats_2021", "brats_africa_2023")
HEALTHY = {
    "flair": "healthy_kirby/113-02-FLAIR_processed_reg.nii.gz",
    "t1": "healthy_kirby/113-02-MPRAGE_processed_reg.nii.gz",
    "t2": "healthy_kirby_t2/113-02-T2w_processed_reg.nii.gz",
}
"""One healthy person of another site."""
SHOWN = ("auprc", "dice", "relative_dice", "oracle_dice", "lesion_f1", "healthy_marked")

CARD = (HERE / "builtin_card.md").read_text()


def split_of(data: Path, path: Path) -> None:
    """Of the licensed patients: those of the test part test, every third of the others calibrates.

    Patients from other releases are left out of the test, too: they may be patients of BraTS 2021 under another name.
    """
    pool = sorted(row["subject"] for row in licensed(data) if row["split"] != "test")
    parts = {subject: "train" for subject in pool} | {subject: "validation" for subject in pool[::3]}
    parts |= dict.fromkeys(held_out(data), "test")
    path.write_text("subject,split\n" + "".join(f"{subject},{part}\n" for subject, part in parts.items()))


def held_out(data: Path) -> list[str]:
    """The subjects that test the models that ship."""
    return [row["subject"] for row in licensed(data) if row["split"] == "test"]


def licensed(data: Path) -> list[dict[str, str]]:
    """The rows of the cohort's split whose licence lets weights be handed on."""
    with (data / "brats128" / "split.csv").open() as stream:
        return [row for row in csv.DictReader(stream) if row["source"] in LICENSED]


def main() -> None:
    work, data = Path(sys.argv[1]), Path(os.environ["MMCCD_DATA"])
    work.mkdir(parents=True, exist_ok=True)
    os.environ["WORK"] = str(work)
    split_of(data, work / "split.csv")
    commands, tables, others = [], [], []
    single: dict[str, list[list[str]]] = {"gliomas": [], "sclerosis": [], "visits": []}
    for size_px in sorted({recipe.size_px for recipe in RECIPES.values()}):
        prepare = f"mmccd prepare $MMCCD_DATA/brats128 $WORK/store{size_px} --size {size_px} --modalities flair,t1,t2"
        commands.append(f"{prepare} --split $WORK/split.csv")
        if not (work / f"store{size_px}").exists():
            run(f"{commands[-1]} --quiet", log=work / f"prepare{size_px}.log")
    for source, recipe in RECIPES.items():
        train = f"mmccd train $WORK/store{recipe.size_px} $WORK/{source} --config tiny --config best"
        commands.append(f"{train} --source {source} --target {recipe.targets} {recipe.training}")
        if not (work / source / "card.json").exists():
            run(f"{commands[-1]} --quiet", log=work / f"{source}.log")
        ship(work, source)
        measured = work / f"{source}_measured.json"
        if not measured.exists():
            measured.write_text(json.dumps([quality(work, source), elsewhere(data, source)]))
        table, rows = json.loads(measured.read_text())
        tables += [f"### {source.upper()}", table]
        others += rows
        for part, found in lesions(work, data, source).items():
            single[part] += found
    store = open_store(work / "store128")
    cards = {source: load_model(f"builtin:{source}").card for source in RECIPES}
    text = CARD.format(
        **{part: len(names) for part, names in store.manifest.subjects.items()},
        steps=cards["flair"].training.steps, version=mmccd.__version__, machine=machine(),
        tables="\n\n".join(tables),
        elsewhere=markdown_table([list(ELSEWHERE), *others]),
        glioma_sizes=markdown_table([list(SIZES), *single["gliomas"]]),
        sclerosis_sizes=markdown_table([list(SIZES), *single["sclerosis"]]),
        pair=" and ".join(f"`{name}`" for name in PAIR),
        visits=markdown_table([list(VISITS), *single["visits"], drawn_twice(data)]),
        commands="\n".join(commands),
        guarantee="; ".join(f"{source.upper()}: {card.threshold.guarantee}" for source, card in cards.items()),
    )  # fmt: skip
    write_atomically(WEIGHTS / "MODEL_CARD.md", text.encode())


def ship(work: Path, source: str) -> None:
    """Scored as `best` does, after rounding to bf16, so that thresholds and evidence belong to what is shipped."""
    model = load_model(work / source)
    model.method.load_state_dict({k: v.to(torch.bfloat16).float() for k, v in model.method.state_dict().items()})
    rounded, calibrated = work / f"{source}_rounded", work / f"{source}_calibrated"
    if not (calibrated / "card.json").exists():
        save_model(rounded, model.method, model.error, model.config, model.card)
        store = open_store(work / f"store{RECIPES[source].size_px}")
        calibrate(rounded, store, calibrated, presets=["best"])
    final = load_model(calibrated)
    save_model(WEIGHTS / source, final.method, final.error, final.config, final.card, dtype=torch.bfloat16)


def quality(work: Path, source: str) -> str:
    store = open_store(work / f"store{RECIPES[source].size_px}")
    model = load_model(f"builtin:{source}")
    judges = {f"builtin:{source}": judge_model(model)} | {
        name: judge_intensity(Contender(name, intensity=INTENSITIES[name]), store, source, model.config)
        for name in ("intensity", "smoothed intensity")
    }
    lines = [f"| | {' | '.join(SHOWN)} |", "| --- |" + " --- |" * len(SHOWN)]
    for name, judge in judges.items():
        found = score_volumes(judge, store, source)[0]["rows"]
        (work / f"{source}_{name.replace(':', '_')}.json").write_text(json.dumps(found, default=float))
        values = [str(bootstrap_mean([float(row[metric]) for row in found])) for metric in SHOWN]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines)


def lesions(work: Path, data: Path, source: str) -> dict[str, list[list[str]]]:
    """Rows about single lesions, and about two visits; measured where WORK does not hold them yet."""
    kept = work / f"{source}_lesions.json"
    if not kept.exists():
        parts = {"gliomas": gliomas(data, source, held_out(data)), "sclerosis": sclerosis(data, source),
                 "visits": visits(data, source)}  # fmt: skip
        kept.write_text(json.dumps(parts))
    return dict(json.loads(kept.read_text()))


ELSEWHERE = ("model", "scan", "AUPRC", "brightness (darkness) smoothed by 0.7 mm", "marked, %", "relative: marked, %",
             "relative: Dice", "relative: lesion F1", "lesion, ml", "score")  # fmt: skip


def elsewhere(data: Path, source: str) -> list[list[str]]:
    """Rows of scans of other sites, on their own grid: multiple sclerosis, and a healthy person."""
    detector = Detector.load(f"builtin:{source}", device="cpu", threshold="relative")
    usual = detector.model.card.threshold.value
    rows = []
    scans = ms_scans(data, source) | {"a healthy person": (data / "odd" / HEALTHY[source], None)}
    for name, (path, mask) in scans.items():
        try:
            found = detector.detect(path)
        except DataError as error:
            rows.append([f"builtin:{source}", name, error.message, *[""] * (len(ELSEWHERE) - 3)])
            continue
        brain = found.brain
        marked = [f"{100 * one[brain].mean():.1f}" for one in (found.anomaly > usual, found.mask)]
        areas, overlaps, size = ["", ""], ["", ""], ""
        if mask is not None:
            lesion = read_volume(mask).data > 0.5
            areas = [f"{auprc(values[brain], lesion[brain]):.3f}" for values in (found.anomaly, bright(found, source))]
            overlaps = [f"{Confusion.between(found.mask, lesion).dice:.3f}", f"{lesion_f1(found.mask, lesion):.3f}"]
            size = f"{lesion.sum() * found.volume.voxel_ml:.1f}"
        rows.append([f"builtin:{source}", name, *areas, *marked, *overlaps, size, f"{found.score:.2f}"])
    return rows


if __name__ == "__main__":
    main()
