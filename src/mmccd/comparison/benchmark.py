"""`mmccd benchmark`: every method on every source modality of a store, under one protocol; a killed run goes on."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmccd.comparison.contenders import SQUARED, Contender, contenders
from mmccd.comparison.cost import Counter
from mmccd.comparison.judge import Judge, judge_intensity, judge_model
from mmccd.comparison.plan import Plan, check_plan, claim, other_modality, training_config
from mmccd.comparison.record import BenchmarkRecord, kept_record, record_path
from mmccd.comparison.scores import score_artefacts, score_lesion_slices, score_paper_protocol, score_volumes
from mmccd.comparison.tables import BenchmarkResult, write_results
from mmccd.data.own_folders import kind_of
from mmccd.data.store import Store
from mmccd.errors import ConfigError
from mmccd.evaluation.paper_protocol import LesionSlice
from mmccd.method.anomaly_map import squared_error
from mmccd.model.build import build_method
from mmccd.model.card import THRESHOLD_KINDS
from mmccd.model.config import Config, load_config
from mmccd.model.folder import load_model
from mmccd.model.model import Model
from mmccd.system.devices import choose_device
from mmccd.system.files import sha256_of_json, write_atomically, write_json
from mmccd.system.locks import sole_use
from mmccd.system.peak_memory import peak_memory_gb, reset_peak_memory
from mmccd.system.progress import Doing, ProgressCallback, facts_of, no_progress
from mmccd.system.provenance import provenance
from mmccd.training.calibrate import calibrate
from mmccd.training.fitting import Hardware
from mmccd.training.train import train

PAPER_SAMPLER = {"masks", "mask_width_mm", "stripe_stride_mm", "sampling_steps", "spacing"}
"""Settings of the section ``diffusion`` that say how the paper samples."""


def benchmark(
    store: Store,
    output: Path,
    plan: Plan | None = None,
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
    plan, others = plan or Plan(), others or {}
    check_plan(store, plan, others)
    rows = contenders(plan.chosen, paper_sampler=plan.paper_sampler)
    jobs = [(source, contender) for source in plan.sources for contender in rows]
    records = []
    with sole_use(output) as ours:
        claim(output, store, plan, others)
        for done, (source, contender) in enumerate(jobs):
            name = f"{source}: {contender.name}"
            progress(name, done, len(jobs))
            record = kept_record(record_path(output, source, contender.name))
            if record is None:
                ours.check()
                training = _training(progress, f"{name}, row {done + 1} of {len(jobs)}")
                record = _run(store, output, plan, others, source, contender, training)
            records.append(record)
        progress("write", len(jobs), len(jobs))
        ours.check()
        return write_results(output, records, store, command, sorted(others))


def _run(
    store: Store,
    output: Path,
    plan: Plan,
    others: Mapping[str, Store],
    source: str,
    contender: Contender,
    progress: ProgressCallback,
) -> BenchmarkRecord:
    """Score one contender, and keep its record."""
    device = choose_device(plan.device)
    model = _model(store, output, plan, source, contender, progress) if contender.method else None
    reset_peak_memory(device)
    judge = judge_model(model, plan.device) if model else judge_intensity(
        contender, store, source, training_config(plan, store, source, plan.chosen[0])
    )  # fmt: skip
    counter = Counter(model.method) if model else None
    facts, pieces, slices = _scored(judge, contender, store, others, source)
    if counter:
        facts["evaluations_per_slice"] = counter.passed / max(1, slices)
        counter.close()
    facts["peak_memory_gb"] = peak_memory_gb(device)
    if plan.artefacts and not contender.paper_sampler:
        facts["artefacts"] = score_artefacts(judge, store, source, other_modality(source, store), plan.seed)
    facts["paper_protocol"] = score_paper_protocol(pieces, store.grid.pixel_mm)
    facts |= {"contender": contender.name, "method": contender.method, "scoring": contender.scoring, "source": source}
    path = record_path(output, source, contender.name)
    write_atomically(path.with_suffix(".npy"), _pieces_as_bytes(pieces))
    write_json(path, facts | _origin(model, store, plan))  # last: a contender with a record is complete
    record = kept_record(path)  # read back, so that this run writes what a later one would
    if record is None:
        raise AssertionError(f"{path} was written and cannot be read")
    return record


def _scored(
    judge: Judge, contender: Contender, store: Store, others: Mapping[str, Store], source: str
) -> tuple[dict[str, Any], list[LesionSlice], int]:
    """What was measured, the slices for a picture, and how many slices were scored."""
    if contender.paper_sampler:
        pieces, seconds = score_lesion_slices(judge, store, source)
        return {"seconds_per_slice": seconds}, pieces, len(pieces)
    facts, pieces = score_volumes(judge, store, source)
    further = {name: one for name, one in others.items() if source in one.modalities}
    facts["kinds"] = {name: score_volumes(judge, one, source)[0]["rows"] for name, one in further.items()}
    facts["thresholds"] = {kind: getattr(judge.thresholds, kind).value for kind in THRESHOLD_KINDS}
    return facts, pieces, sum(int((one.index["split"] == "test").sum()) for one in (store, *further.values()))


def _model(
    store: Store, output: Path, plan: Plan, source: str, contender: Contender, progress: ProgressCallback
) -> Model:
    """The trained networks of a contender, with its own scoring and thresholds."""
    folder = output / "models" / source / contender.method
    config = training_config(plan, store, source, contender.method)
    if kind_of(folder) != "model":
        # One device: of several, Lightning would start the whole benchmark again on each.
        train(store, folder, config, resume=True, hardware=Hardware(plan.device, devices="1"), progress=progress)
    trained = load_model(folder)
    batch = {"batch_size": trained.config.training.batch_size}  # halved where memory was short
    same = trained.config == config.model_copy(update={"training": config.training.model_copy(update=batch)})
    if not same or trained.card.training_data.store_digest != store.digest:
        raise ConfigError(
            f"{folder} was trained with other settings or on another store",
            "use another output folder, or delete this one",
        )
    if contender.paper_sampler:
        return with_paper_sampler(trained)
    if contender.scoring == "evidence":
        return trained
    squared = output / "models" / source / f"{contender.method}_squared"
    if kind_of(squared) != "model":
        calibrate(folder, store, squared, overrides=SQUARED, device=plan.device, progress=progress)
    made, weights = load_model(squared), trained.method.state_dict()
    if not all(torch.equal(tensor, weights[name]) for name, tensor in made.method.state_dict().items()):
        raise ConfigError(f"{squared} does not belong to {folder}", "delete it: it is made again")
    return made


def with_paper_sampler(trained: Model) -> Model:
    """The same weights, sampled and scored as in the paper; noise schedule and networks stay those of the training."""
    config = paper_sampled(trained.config)
    method = build_method(config, trained.grid.size_px)
    method.load_state_dict(trained.method.state_dict())
    return Model(method.eval().requires_grad_(False), squared_error, config, trained.card)


def paper_sampled(config: Config) -> Config:
    """Settings of a training, with the paper's sampler and its squared error."""
    sampler = load_config("paper").diffusion.model_dump(include=PAPER_SAMPLER) | {"masks_at_once": 16}
    diffusion = config.diffusion.model_copy(update=sampler)
    squared = load_config([], {**config.model_dump(mode="json"), **SQUARED})
    return squared.model_copy(update={"diffusion": diffusion})


def _training(progress: ProgressCallback, name: str) -> ProgressCallback:
    """Contenders differ by far in what they take, steps of a training hardly: while one trains, these are counted."""

    def training(losses: str, step: int, steps: int) -> None:
        progress(Doing(f"steps of {name} {losses}".rstrip(), **facts_of(losses)), step, steps)

    return training


def _origin(model: Model | None, store: Store, plan: Plan) -> dict[str, Any]:
    facts = {
        "size": plan.size,
        "seed": plan.seed,
        "store_digest": store.digest,
        "split_digest": store.manifest.split_digest,
        "provenance": provenance(device=str(choose_device(plan.device)), threads=torch.get_num_threads()),
    }
    if model:
        card = model.card
        facts |= {
            "config_digest": sha256_of_json(model.config.model_dump(mode="json")),
            "weights_sha256": card.weights_sha256,
            "parameters": card.parameters,
            "training_steps": card.training.steps if card.training else None,
            "batch_size": model.config.training.batch_size,
            "guarantee": card.threshold.guarantee,
        }
    return facts


def _pieces_as_bytes(pieces: Sequence[LesionSlice]) -> bytes:
    """Maps of the largest lesion slices, for the montage: float16 (subjects, x, y) as .npy."""
    stream = BytesIO()
    np.save(stream, np.array([piece.score for piece in pieces], dtype=np.float16))
    return stream.getvalue()
