"""`mmccd benchmark --dry-run`: the minutes that each method will take, before anything is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmccd.comparison.artefacts import ARTEFACTS
from mmccd.comparison.benchmark import paper_sampled
from mmccd.comparison.contenders import Contender, contenders, label_of
from mmccd.comparison.plan import SETTINGS, Plan, check_plan, claim, training_config
from mmccd.comparison.record import kept_record, record_path
from mmccd.comparison.scores import ARTEFACT_SLICES
from mmccd.data.own_folders import kind_of
from mmccd.data.store import Store
from mmccd.model.build import build_method
from mmccd.model.config import Config
from mmccd.model.folder import load_model
from mmccd.system.devices import choose_device
from mmccd.system.progress import Doing, ProgressCallback, no_progress
from mmccd.training.calibration import healthy_tissue
from mmccd.training.dry_run import Cost, Scoring, dry_run, scoring_of
from mmccd.training.fitting import Hardware


@dataclass(frozen=True)
class MethodCost:
    """Seconds that one method will take, over all sources that are left of a benchmark.

    Attributes:
        name: For tables.
        training_s: Its trainings, with their validations.
        calibration_s: Its calibrations: of the evidence, and of the squared error.
        scoring_s: Networks and smoothing on the test slices, and on planted artefacts.
    """

    name: str
    training_s: float
    calibration_s: float
    scoring_s: float

    @property
    def whole_s(self) -> float:
        """The sum."""
        return self.training_s + self.calibration_s + self.scoring_s


def benchmark_cost(
    store: Store,
    output: Path,
    plan: Plan | None = None,
    *,
    others: Mapping[str, Store] | None = None,
    progress: ProgressCallback = no_progress,
) -> list[MethodCost]:
    """Check what `benchmark` checks, then measure each method once, by a dry run of its training.

    All sources of a store have as many slices and networks of one size: a method is measured on the first of them that
    it is to be trained on. Nothing is written to ``output``, and what is there already costs nothing.

    Args:
        store: Trained, calibrated and tested on its three parts.
        output: Folder that the benchmark is meant for.
        plan: What it would run.
        others: Further stores by kind of disease.
        progress: Called with the method and its steps.

    Raises:
        ConfigError: as `benchmark`.
        DataError: as `benchmark`.
    """
    plan, others = plan or Plan(), others or {}
    check_plan(store, plan, others)
    if (output / SETTINGS).is_file():  # else it would be written
        claim(output, store, plan, others)
    return [_method_cost(store, output, plan, others, method, progress) for method in plan.chosen]


def cost_table(costs: Sequence[MethodCost]) -> list[list[str]]:
    """A header, a row for each method, and the sum; minutes."""
    whole = MethodCost("all", *(sum(getattr(one, part) for one in costs) for part in _PARTS))
    rows = [[one.name, *(f"{getattr(one, part) / 60:.1f}" for part in (*_PARTS, "whole_s"))] for one in [*costs, whole]]
    return [["minutes", "train", "calibrate", "score", "sum"], *rows]


_PARTS = ("training_s", "calibration_s", "scoring_s")


def _method_cost(
    store: Store, output: Path, plan: Plan, others: Mapping[str, Store], method: str, progress: ProgressCallback
) -> MethodCost:
    rows = [row for row in contenders([method], paper_sampler=plan.paper_sampler) if row.method]
    left = {
        source: [row for row in rows if kept_record(record_path(output, source, row.name)) is None]
        for source in plan.sources
    }
    left = {source: some for source, some in left.items() if some}
    if not left:
        return MethodCost(label_of(method), 0.0, 0.0, 0.0)
    folders = {source: output / "models" / source / method for source in left}
    untrained = [source for source in left if kind_of(folders[source]) != "model"]
    config = training_config(plan, store, (untrained or list(left))[0], method)

    def told(losses: str, step: int, steps: int) -> None:
        progress(Doing(f"{label_of(method)} {losses}".rstrip()), step, steps)

    trained_s = calibrated_s = 0.0
    if untrained:
        hardware = Hardware(plan.device, devices="1")
        cost = dry_run(store, folders[untrained[0]], config, resume=True, hardware=hardware, progress=told)
        scoring = cost.scoring
        # Sources are trained one after the other: only the first can be half done.
        trained_s = cost.training_s + (len(untrained) - 1) * _from_the_start(cost, config).training_s
        calibrated_s = len(untrained) * cost.calibration_s
    else:
        networks = load_model(folders[next(iter(left))]).method
        scoring = scoring_of(networks, healthy_tissue(store, config), config, choose_device(plan.device))
    squared = replace(scoring, count_s=0.0, smoothing_s=0.0)
    healthy_slices = int(healthy_tissue(store, config).rows("validation").size)
    for source, some in left.items():
        if any(row.scoring == "squared" and not row.paper_sampler for row in some):
            folder = folders[source].with_name(f"{method}_squared")
            calibrated_s += 0.0 if kind_of(folder) == "model" else healthy_slices * squared.calibration_s
    scored_s = sum(
        _scored_s(row, store, others, source, plan, config, scoring if row.scoring == "evidence" else squared)
        for source, some in left.items()
        for row in some
    )
    return MethodCost(label_of(method), trained_s, calibrated_s, scored_s)


def _from_the_start(cost: Cost, config: Config) -> Cost:
    every = min(config.training.validate_every, config.training.steps)
    return replace(cost, steps_done=0, validations_left=config.training.steps // every)


def _scored_s(
    row: Contender, store: Store, others: Mapping[str, Store], source: str, plan: Plan, config: Config, scoring: Scoring
) -> float:
    """Seconds that the test slices of one row take."""
    test = store.index[store.index["split"] == "test"]
    if row.paper_sampler:  # one slice of each subject with a lesion
        subjects = test.loc[test["lesion_px"] > 0, "subject"].nunique()
        fast, paper = (build_method(one, store.size_px).evaluations for one in (config, paper_sampled(config)))
        return float(subjects * scoring.slice_s * paper / fast)
    slices = len(test) + sum(
        int((one.index["split"] == "test").sum()) for one in others.values() if source in one.modalities
    )
    if plan.artefacts:
        slices += test["subject"].nunique() * ARTEFACT_SLICES * (1 + len(ARTEFACTS))
    return float(slices * scoring.slice_s)
