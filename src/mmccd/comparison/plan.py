"""What a benchmark runs, and whether it can run on a store."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmccd.comparison.scores import HALO_MM
from mmccd.data.splits import patient_of
from mmccd.data.store import Store
from mmccd.errors import ConfigError, DataError
from mmccd.method.registry import METHODS
from mmccd.model.config import Config, load_config
from mmccd.system.devices import choose_device
from mmccd.system.files import read_record, write_json
from mmccd.version import __version__

SIZES = {"small": ("tiny", 64), "full": ("paper", 128)}
"""Preset and side of the slices in pixels."""
TARGETS = {"flair": "t2", "t1": "t2", "t2": "flair"}
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Plan:
    """What a benchmark runs, all of which goes into the record of every row.

    Attributes:
        size: One of ``SIZES``.
        methods: As in a config; none means all.
        sources: Modalities that are scored.
        overrides: Settings of every training, for example ``{"training.steps": 600}``.
        paper_sampler: Whether MMCCD is also sampled as in the paper, which takes most of the time.
        artefacts: Whether artefacts are planted.
        seed: Of the trainings and of the artefacts.
        device: Where to compute.
    """

    size: str = "small"
    methods: tuple[str, ...] = ()
    sources: tuple[str, ...] = ("flair", "t1", "t2")
    overrides: Mapping[str, Any] | None = None
    paper_sampler: bool = True
    artefacts: bool = True
    seed: int = 0
    device: str = "auto"

    @property
    def chosen(self) -> tuple[str, ...]:
        """The methods, by name."""
        return self.methods or tuple(METHODS)


def training_config(plan: Plan, store: Store, source: str, method: str) -> Config:
    """Settings of one training: all methods have the same steps, batches and optimiser."""
    overrides: dict[str, Any] = {"method": method, "source": source, "seed": plan.seed}
    needed = METHODS[method].about.targets
    if needed != "none":
        every = [name for name in store.modalities if name != source]
        overrides["targets"] = every if needed == "all" else [other_modality(source, store)]
    return load_config([SIZES[plan.size][0], "fast", "best"], {**(plan.overrides or {}), **overrides})


def other_modality(source: str, store: Store) -> str:
    """The modality that a source is translated to, where there is one target."""
    usual = TARGETS.get(source, "")
    rest = [name for name in store.modalities if name != source]
    return usual if usual in rest else rest[0]


def check_plan(store: Store, plan: Plan, others: Mapping[str, Store]) -> None:
    """Refuse a plan before anything is trained.

    Raises:
        ConfigError: it cannot run on this store.
        DataError: the store has no test subject with a lesion, or a test subject is a session of a patient that it
            trains or calibrates on.
    """
    if plan.size not in SIZES:
        raise ConfigError(f"size is {plan.size!r}, expected one of {', '.join(SIZES)}", "small is for two CPU cores")
    _check_stores(store, plan, others)
    for what, names in {"methods": plan.chosen, "sources": plan.sources}.items():
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"{what} are {', '.join(names) or 'none'}", "give at least one, and none twice")
    for source in plan.sources:
        if source not in store.modalities:
            raise ConfigError(
                f"the store has no modality {source!r}, it has {', '.join(store.modalities)}",
                "choose among these with --sources",
            )
    if unknown := [name for name in plan.chosen if name not in METHODS]:
        raise ConfigError(f"unknown methods {', '.join(unknown)}", f"choose among {', '.join(METHODS)}")
    scoring = training_config(plan, store, plan.sources[0], plan.chosen[0]).scoring
    if scoring.edge_mm or scoring.error != "tail":
        raise ConfigError(
            f"scoring.edge_mm is {scoring.edge_mm} and scoring.error is {scoring.error!r}, the rows of evidence "
            "need 0 and 'tail'",
            "leave both out, set others one by one, as in --set scoring.polarity=either: a whole section resets them",
        )
    if 3 * scoring.smooth_mm > HALO_MM:
        raise ConfigError(
            f"scoring.smooth_mm is {scoring.smooth_mm}, allowed are up to {HALO_MM / 3:g}: slices {HALO_MM:g} mm from "
            "a lesion count as healthy, and smoothing reaches three times as far",
            "leave it out, or choose a smaller one",
        )


def claim(output: Path, store: Store, plan: Plan, others: Mapping[str, Store]) -> None:
    """A folder belongs to one store, size, seed and set of trainings: numbers of two are never mixed in one table.

    Raises:
        ConfigError: it belongs to another one.
    """
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
    if not path.is_file():
        write_json(path, fixed)
        return
    before = read_record(path)
    if before is None:
        raise ConfigError(f"{SETTINGS} in {output} is damaged", "choose another output folder")
    fixed = json.loads(json.dumps(fixed))  # has lists for tuples, as what is read has
    if changed := [key for key in fixed if before.get(key) != fixed[key]]:
        raise ConfigError(
            f"{output} holds a benchmark with another {', '.join(changed)}", "choose another output folder"
        )


def _check_stores(store: Store, plan: Plan, others: Mapping[str, Store]) -> None:
    _, side = SIZES[plan.size]
    seen = {patient_of(name) for part in ("train", "validation") for name in store.manifest.subjects[part]}
    for name, one in {"the store": store, **others}.items():
        if one.rows("test").size == 0:
            raise DataError(f"{name} has no test subject", "prepare it with --fractions 0 0 1 or a --split")
        if one.grid.protocol != store.grid.protocol:
            raise ConfigError(f"{name} was prepared by another protocol than the store", "prepare both alike")
        if one.size_px != side:
            raise ConfigError(
                f"{name} has slices of {one.size_px} px, size {plan.size} compares at {side} px",
                f"prepare it with --size {side}, or choose another --size",
            )
        if known := sorted({patient_of(subject) for subject in one.manifest.subjects["test"]} & seen):
            raise DataError(
                f"{name} tests {known[0]}, a patient that the store trains or calibrates on",
                "leave it out, or give the store a split that keeps all sessions of a patient in one part",
            )
    if len(store.modalities) < 2:
        raise ConfigError("the store has one modality, translation needs two", "prepare it with more --modalities")
    test = store.index[store.index["split"] == "test"]
    if not (test["lesion_px"] > 0).any():
        raise DataError("the store has no test slice with a lesion", "prepare test subjects with lesion masks")
