"""`mmccd demo`: the whole path on a synthetic cohort, for two methods and the model that ships with the package."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from mmccd.data.cohort import read_cohort
from mmccd.data.own_folders import kind_of
from mmccd.data.prepare import prepare
from mmccd.data.slices import StoreSettings
from mmccd.data.splits import find_split
from mmccd.data.volumes import read_volume, write_volume
from mmccd.errors import DataError
from mmccd.evaluation.case import BASELINES
from mmccd.evaluation.evaluate import Evaluation, evaluate
from mmccd.model.config import load_config
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
STEPS = 300
PRESETS = {"mmccd": ("tiny", "best"), "cyclic-unet": ("tiny",)}
"""The method of the paper, and the one that it builds on."""
SHIPPED = "builtin:flair"


@dataclass(frozen=True)
class DemoResult:
    """Where the demo left its results.

    Attributes:
        evaluations: By method, and of the model that ships with the package, by folder.
        montage: Picture of what MMCCD found.
        page: The same to look at, case by case, in a browser.
        preview: Picture of what the shipped model found in the user's own scan; or in a simulated head with skull.
    """

    evaluations: dict[str, Evaluation]
    montage: Path
    page: Path
    preview: Path

    def table(self) -> list[list[str]]:
        """Header, one line per method, and the intensity baselines: mean [low, high]."""
        tables = {name: evaluation.table() for name, evaluation in self.evaluations.items()}
        header, *ours = tables["mmccd"]
        rows = [[name, *lines[1][1:]] for name, lines in tables.items()]
        return [header, *rows, *(line for line in ours if line[0] in BASELINES)]


def demo(
    output: Path,
    *,
    seed: int = 0,
    workers: int = 2,
    scan: Path | None = None,
    progress_of: Callable[[str], AbstractContextManager[ProgressCallback]],
) -> DemoResult:
    """Phantom cohort, prepare, train, predict unseen lesioned scans, evaluate, draw; finished steps are kept.

    Args:
        output: Folder for everything that is made.
        seed: Of the phantom and of the training.
        workers: Processes for the phantom and the preparation.
        scan: A FLAIR scan of the user's own for the model that ships with the package; None takes a simulated head
            with skull.
        progress_of: Makes a progress callback for a step of this name.
    """
    shipped_model = Detector.load(SHIPPED, batch_size=64)
    if scan is not None:
        read_volume(scan)  # what cannot be read should not be found out after minutes
    data = output / "phantom"
    with progress_of("phantom") as progress:
        phantom(data, subjects=HEALTHY, lesions=LESIONED, seed=seed, workers=workers, progress=progress)
    cohort = read_cohort(data)
    split, _ = find_split(cohort)
    settings = StoreSettings("volume", SIZE_PX, ("flair", "t1", "t2"))
    with progress_of("prepare") as progress:
        store, _ = prepare(cohort, split, output / "store", settings, workers=workers, progress=progress)
    evaluations = {}
    for method, presets in PRESETS.items():
        folder = output / method
        overrides = {"method": method, "seed": seed, "training.steps": STEPS}
        if kind_of(folder / "model") != "model":
            with progress_of(f"train {method}") as progress:
                train(store, folder / "model", load_config(presets, overrides), resume=True, progress=progress)
        evaluations[method] = _score(
            Detector.load(folder / "model", batch_size=64), data, split.test, folder, progress_of, method
        )
    shipped = output / "shipped"
    evaluations[SHIPPED] = _score(shipped_model, data, split.test, shipped, progress_of, SHIPPED)
    page = output / "report.html"
    with progress_of("report") as progress:
        found_by = output / "mmccd"
        shown = Settings(scans=(data,), model=found_by / "model")
        report(found_by / "predictions", page, shown, progress=progress)
    given = scan or _head(data / split.test[0] / f"{split.test[0]}_flair.nii.gz", output / "head", seed)
    with progress_of(f"predict {given.name}") as progress:
        (outcome,) = predict(shipped_model, [given], shipped / "scan", progress=progress)
    if outcome.status == "failed":
        raise DataError(f"{given.name}: {outcome.error}", outcome.hint)
    preview = shipped / "scan" / f"{outcome.case}.png"
    return DemoResult(evaluations, output / "mmccd" / "evaluation" / "montage.png", page, preview)


def _head(scan: Path, folder: Path, seed: int) -> Path:
    """The scan as it would leave a scanner, with skull."""
    place = folder / f"{scan.name.removesuffix('_flair.nii.gz')}_head_flair.nii.gz"
    if not place.exists():
        head = with_skull(read_volume(scan), seed=seed)
        write_volume(place, head.data, head)
    return place


def _score(
    detector: Detector,
    data: Path,
    subjects: Sequence[str],
    folder: Path,
    progress_of: Callable[[str], AbstractContextManager[ProgressCallback]],
    name: str,
) -> Evaluation:
    with progress_of(f"predict {name}") as progress:
        predict(detector, [data], folder / "predictions", subjects=subjects, progress=progress)
    with progress_of(f"evaluate {name}") as progress:
        return evaluate(folder / "predictions", data, folder / "evaluation", progress=progress)
