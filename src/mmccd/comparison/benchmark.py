"""`mmccd benchmark`: every method on every source modality of a store, under one protocol; a killed run goes on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.exposure import equalize_hist

from mmccd.comparison.contenders import SQUARE, Contender, contenders
from mmccd.comparison.scores import (
    HALO_MM,
    Counter,
    Floats,
    Judge,
    Mask,
    peak_memory_gb,
    reset_peak_memory,
    score_artefacts,
    score_lesion_slices,
    score_published,
    score_volumes,
)
from mmccd.comparison.tables import BenchmarkResult, write_results
from mmccd.data.splits import patient_of
from mmccd.data.store import Store
from mmccd.errors import ConfigError, DataError
from mmccd.evaluation.paper_protocol import LesionSlice
from mmccd.method.cycle import squared_error
from mmccd.model.build import build_method
from mmccd.model.config import METHODS, RECONSTRUCTIONS, Config, ScoringConfig, load_config
from mmccd.model.files import CARD
from mmccd.model.model import Model, load_model
from mmccd.prediction.detector import Detector
from mmccd.scoring.maps import intensity_score, smoothed, typical_polarity
from mmccd.system.devices import choose_device
from mmccd.system.files import read_record, sha256_of_json, write_atomically, write_json
from mmccd.system.locks import sole_use
from mmccd.system.progress import ProgressCallback, no_progress
from mmccd.system.provenance import provenance
from mmccd.training.calibrate import recalibrate
from mmccd.training.calibration import healthy_maps, thresholds_of
from mmccd.training.train import Hardware, train
from mmccd.version import __version__

SIZES = {"small": ("tiny", 64), "full": ("published", 128)}
"""Preset and side of the slices in pixels."""
TARGETS = {"flair": "t2", "t1": "t2", "t2": "flair"}
BATCH = 64
PUBLISHED_SAMPLER = {
    "masks",
    "mask_width_mm",
    "stripe_stride_mm",
    "stripes_wrap",
    "sampling_steps",
    "spacing",
    "sampler",
}
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Plan:
    """What a benchmark runs, all of which goes into the record of every row.

    Attributes:
        size: One of ``SIZES``.
        methods: As in a config.
        sources: Modalities that are scored.
        overrides: Settings of every training, for example ``{"training.steps": 600}``.
        published_sampler: Whether MMCCD is also sampled as published, which takes most of the time.
        artefacts: Whether artefacts are planted.
        seed: Of the trainings and of the artefacts.
        device: Where to compute.
    """

    size: str = "small"
    methods: tuple[str, ...] = METHODS
    sources: tuple[str, ...] = ("flair", "t1", "t2")
    overrides: Mapping[str, Any] | None = None
    published_sampler: bool = True
    artefacts: bool = True
    seed: int = 0
    device: str = "auto"


def benchmark(
    store: Store,
    output: Path,
    plan: Plan = Plan(),
    *,
    others: Mapping[str, Store] | None = None,
    command: str = "mmccd benchmark",
    progress: ProgressCallback = no_progress,
) -> BenchmarkResult:
    """Train what is missing, score all contenders on the test subjects, write tables and pictures.

    Writes to ``output``: ``models``, ``scores`` (a record per contender and source, which a later run keeps),
    ``results.json``, ``results.csv``, ``RESULTS.md`` and pictures.

    Args:
        store: Trained, calibrated and tested on its three parts.
        output: Folder; it holds results of one plan and one store.
        plan: What to run.
        others: Further stores by kind of disease; their test subjects are scored by the same models.
        command: What the page says that it was written by.
        progress: Called with what is being done, how many contenders are done, and how many there are; while one
            trains, with its steps instead.

    Raises:
        ConfigError: the plan cannot run on this store, the folder holds results of another plan or store, or
            another process works there.
        DataError: the store has no test subject with a lesion, or no healthy slice to train or calibrate on, or a test
            subject is a session of a patient that it trains or calibrates on.
    """
    others = others or {}
    _check(store, plan, others)
    rows = contenders(plan.methods, published_sampler=plan.published_sampler)
    jobs = [(source, contender) for source in plan.sources for contender in rows]
    records = []
    with sole_use(output):
        _claim(output, store, plan, others)
        for done, (source, contender) in enumerate(jobs):
            name = f"{source}: {contender.name}"
            progress(name, done, len(jobs))
            record = _kept(output / "scores" / source / contender.file_name)
            if record is None:
                training = _training(progress, f"{name}, row {done + 1} of {len(jobs)}")
                record = _run(store, output, plan, others, source, contender, training)
            records.append(record)
        progress("write", len(jobs), len(jobs))
        return write_results(output, records, store, command, sorted(others))


def training_config(plan: Plan, store: Store, source: str, method: str) -> Config:
    """Settings of one training: all methods have the same steps, batches and optimiser."""
    overrides: dict[str, Any] = {"method": method, "source": source, "seed": plan.seed}
    if method not in RECONSTRUCTIONS:
        overrides["targets"] = (
            [name for name in store.modalities if name != source]
            if method == "veiled-cycle"
            else [_other(source, store)]
        )
    return load_config([SIZES[plan.size][0], "fast", "best"], {**(plan.overrides or {}), **overrides})


def _run(
    store: Store,
    output: Path,
    plan: Plan,
    others: Mapping[str, Store],
    source: str,
    contender: Contender,
    progress: ProgressCallback,
) -> dict[str, Any]:
    other, kept = _other(source, store), output / "scores" / source / contender.file_name
    facts: dict[str, Any] = {"contender": contender.name, "method": contender.method, "scoring": contender.scoring,
                             "source": source, "size": plan.size}  # fmt: skip
    model = _model(store, output, plan, source, contender, progress) if contender.method else None
    device = choose_device(plan.device)
    reset_peak_memory(device)
    counter = Counter(model.method) if model else None
    judge = (
        judge_model(model, plan.device) if model else judge_intensity(contender, store, source, _scoring(plan, store))
    )
    if contender.published_sampler:
        record = score_lesion_slices(judge.score, store, source)
        scored = len(record["slices"])
    else:
        record = score_volumes(judge, store, source)
        scored = int((store.index["split"] == "test").sum())
        cuts = {"voxel": judge.threshold, "scan": judge.scan_threshold, "relative": judge.relative_threshold}
        facts["thresholds"] = cuts
        facts["kinds"] = {}
        for name, further in others.items():
            if source in further.modalities:
                facts["kinds"][name] = score_volumes(judge, further, source)["rows"]
    if counter:
        facts["evaluations_per_slice"] = counter.passed / max(1, scored + sum(
            int((others[name].index["split"] == "test").sum()) for name in facts.get("kinds", {})
        ))  # fmt: skip
        counter.close()
    facts["peak_memory_gb"] = peak_memory_gb(device)
    if plan.artefacts and not contender.published_sampler:
        facts["artefacts"] = score_artefacts(judge.score, store, source, other, plan.seed)
    pieces: list[LesionSlice] = record.pop("slices")
    facts["published"] = score_published(pieces, store.manifest["pixel_mm"])
    facts |= record | _origin(model, store, plan)
    write_atomically(kept.with_suffix(".npy"), _pieces_as_bytes(pieces))
    write_json(kept.with_suffix(".json"), facts)  # last: a contender with a record is complete
    # Read back, so that this run writes what a later one would: JSON has null for NaN.
    written: dict[str, Any] = json.loads(kept.with_suffix(".json").read_text(encoding="utf-8"))
    return written | {"maps": str(kept.with_suffix(".npy"))}


def _model(
    store: Store, output: Path, plan: Plan, source: str, contender: Contender, progress: ProgressCallback
) -> Model:
    """The trained networks of a contender, with its own scoring and thresholds."""
    folder = output / "models" / source / contender.method
    config = training_config(plan, store, source, contender.method)
    if not (folder / CARD).is_file():
        # One device: of several, Lightning would start the whole benchmark again on each.
        train(store, folder, config, resume=True, hardware=Hardware(plan.device, devices="1"), progress=progress)
    trained = load_model(folder)
    batch = {"batch_size": trained.config.training.batch_size}  # halved where memory was short
    same = trained.config == config.model_copy(update={"training": config.training.model_copy(update=batch)})
    if not same or trained.card["training_data"]["store_digest"] != store.digest:
        raise ConfigError(
            f"{folder} was trained with other settings or on another store",
            "use another output folder, or delete this one",
        )
    if contender.published_sampler:
        return _with_published_sampler(trained)
    if contender.scoring == "evidence":
        return trained
    square = output / "models" / source / f"{contender.method}_square"
    if not (square / CARD).is_file():
        recalibrate(folder, store, square, overrides=SQUARE, device=plan.device)
    made, weights = load_model(square), trained.method.state_dict()
    if not all(torch.equal(tensor, weights[name]) for name, tensor in made.method.state_dict().items()):
        raise ConfigError(f"{square} does not belong to {folder}", "delete it: it is made again")
    return made


def _with_published_sampler(trained: Model) -> Model:
    """The same weights, sampled and scored as published; noise schedule and networks stay those of the training."""
    published = load_config("published").diffusion.model_dump(include=PUBLISHED_SAMPLER) | {"masks_at_once": 16}
    diffusion = trained.config.diffusion.model_copy(update=published)
    config = load_config([], {**trained.config.model_dump(mode="json"), **SQUARE})
    config = config.model_copy(update={"diffusion": diffusion})
    method = build_method(config)
    method.load_state_dict(trained.method.state_dict())
    return Model(method.eval().requires_grad_(False), squared_error, config, trained.card)


def _training(progress: ProgressCallback, name: str) -> ProgressCallback:
    """Contenders differ by far in what they take, steps of a training hardly: while one trains, these are counted."""
    return lambda losses, step, steps: progress(f"steps of {name} {losses}".rstrip(), step, steps)


def judge_model(model: Model, device: str = "auto") -> Judge:
    """The map of a model of one modality, with the thresholds of its card."""
    detector = Detector(model, device=device, batch_size=BATCH)
    (source,) = detector.sources
    return Judge.of(
        lambda slices, brain, slice_mm: detector.score_slices({source: slices}, brain, slice_mm), model.card
    )


def judge_intensity(contender: Contender, store: Store, source: str, scoring: ScoringConfig) -> Judge:
    """An intensity as a score, with thresholds chosen as those of the models are."""
    pixel_mm, polarity = store.manifest["pixel_mm"], typical_polarity(source)

    def score(slices: Floats, brain: Mask, slice_mm: float) -> Floats:
        if contender.intensity == "equalised":
            return intensity_score(equalize_hist(slices, mask=brain).astype(np.float32), polarity)
        smooth_mm = scoring.smooth_mm if contender.intensity == "smoothed" else 0.0
        spacing_mm = (slice_mm, pixel_mm, pixel_mm)
        return smoothed(intensity_score(slices, polarity), brain, smooth_mm=smooth_mm, spacing_mm=spacing_mm)

    healthy = healthy_maps(
        store, lambda _, rows, brain, slice_mm: score(store.array(source)[rows].astype(np.float32), brain, slice_mm)
    )
    return Judge.of(score, thresholds_of(healthy, store, source, scoring))


def _scoring(plan: Plan, store: Store) -> ScoringConfig:
    """What the rows of evidence are scored with."""
    return training_config(plan, store, plan.sources[0], plan.methods[0]).scoring


def _origin(model: Model | None, store: Store, plan: Plan) -> dict[str, Any]:
    facts = {
        "seed": plan.seed,
        "store_digest": store.digest,
        "split_digest": store.manifest["split_digest"],
        "provenance": provenance(device=str(choose_device(plan.device)), threads=torch.get_num_threads()),
    }
    if model:
        facts |= {
            "config_digest": sha256_of_json(model.config.model_dump(mode="json")),
            "weights_sha256": model.card["weights_sha256"],
            "parameters": model.card["parameters"],
            "training_steps": model.card["training"]["steps"],
            "batch_size": model.config.training.batch_size,
            "guarantee": model.card["threshold"]["guarantee"],
        }
    return facts


def _pieces_as_bytes(pieces: Sequence[LesionSlice]) -> bytes:
    """Maps of the largest lesion slices, for the montage: float16 (subjects, height, width) as .npy."""
    stream = BytesIO()
    np.save(stream, np.array([piece.score for piece in pieces], dtype=np.float16))
    return stream.getvalue()


def _kept(path: Path) -> dict[str, Any] | None:
    """The record of an earlier run; what cannot be read is done again."""
    values, maps = read_record(path.with_suffix(".json")), path.with_suffix(".npy")
    return values | {"maps": str(maps)} if values is not None and maps.is_file() else None


def _other(source: str, store: Store) -> str:
    """The modality that a source is translated to."""
    usual = TARGETS.get(source, "")
    rest = [name for name in store.modalities if name != source]
    return usual if usual in rest else rest[0]


def _check(store: Store, plan: Plan, others: Mapping[str, Store]) -> None:
    if plan.size not in SIZES:
        raise ConfigError(f"size is {plan.size!r}, expected one of {', '.join(SIZES)}", "small is for two CPU cores")
    _, side = SIZES[plan.size]
    for name, one in {"the store": store, **others}.items():
        if one.rows("test").size == 0:
            raise DataError(f"{name} has no test subject", "prepare it with --fractions 0 0 1 or a --split")
        if one.manifest["protocol"] != store.manifest["protocol"]:
            raise ConfigError(f"{name} was prepared by another protocol than the store", "prepare both alike")
        if one.size_px != side:
            raise ConfigError(
                f"{name} has slices of {one.size_px} px, size {plan.size} compares at {side} px",
                f"prepare it with --size {side}, or choose another --size",
            )
    if len(store.modalities) < 2:
        raise ConfigError("the store has one modality, translation needs two", "prepare it with more --modalities")
    for what, names in {"methods": plan.methods, "sources": plan.sources}.items():
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"{what} are {', '.join(names) or 'none'}", "give at least one, and none twice")
    for source in plan.sources:
        if source not in store.modalities:
            raise ConfigError(
                f"the store has no modality {source!r}, it has {', '.join(store.modalities)}",
                "choose among these with --sources",
            )
    unknown = [name for name in plan.methods if name not in METHODS]
    if unknown:
        raise ConfigError(f"unknown methods {', '.join(unknown)}", f"choose among {', '.join(METHODS)}")
    if plan.published_sampler and "mmccd" in plan.methods:
        trained_on = training_config(plan, store, plan.sources[0], "mmccd").diffusion.train_on
        if trained_on == "sampling-steps":
            raise ConfigError(
                "diffusion.train_on is 'sampling-steps', the published sampler visits steps that this never trains",
                "leave it out, or add --no-published",
            )
    scoring = _scoring(plan, store)
    if scoring.edge_mm or scoring.evidence != "tail":
        raise ConfigError(
            f"scoring.edge_mm is {scoring.edge_mm} and scoring.evidence is {scoring.evidence!r}, the rows of evidence "
            "need 0 and 'tail'",
            "leave both out, and set others one by one, as in --set scoring.smooth_mm=2: a whole section resets them",
        )
    if 3 * scoring.smooth_mm > HALO_MM:
        raise ConfigError(
            f"scoring.smooth_mm is {scoring.smooth_mm}, allowed are up to {HALO_MM / 3:g}: slices {HALO_MM:g} mm from "
            "a lesion count as healthy, and smoothing reaches three times as far",
            "leave it out, or choose a smaller one",
        )
    seen = {patient_of(name) for part in ("train", "validation") for name in store.manifest["subjects"][part]}
    for name, one in {"the store": store, **others}.items():
        if known := sorted({patient_of(subject) for subject in one.manifest["subjects"]["test"]} & seen):
            raise DataError(
                f"{name} tests {known[0]}, a patient that the store trains or calibrates on",
                "leave it out, or give the store a split that keeps all sessions of a patient in one part",
            )
    test = store.index[store.index["split"] == "test"]
    if not (test["lesion_px"] > 0).any():
        raise DataError("the store has no test slice with a lesion", "prepare test subjects with lesion masks")


def _claim(output: Path, store: Store, plan: Plan, others: Mapping[str, Store]) -> None:
    """A folder belongs to one store, size, seed and set of trainings: numbers of two are never mixed in one table."""
    fixed: dict[str, Any] = {
        "size": plan.size,
        "seed": plan.seed,
        "overrides": dict(plan.overrides or {}),
        "store": store.digest,
        "others": {name: one.digest for name, one in others.items()},
        "artefacts": plan.artefacts,
        "version": __version__,
        "device": str(choose_device(plan.device)),
    }
    path = output / SETTINGS
    if path.is_file():
        before = read_record(path)
        if before is None:
            raise ConfigError(f"{SETTINGS} in {output} is damaged", "choose another output folder")
        fixed = json.loads(json.dumps(fixed))  # has lists for tuples, as what is read has
        changed = [key for key in fixed if before.get(key) != fixed[key]]
        if changed:
            raise ConfigError(
                f"{output} holds a benchmark with another {', '.join(changed)}", "choose another output folder"
            )
    else:
        write_json(path, fixed)
