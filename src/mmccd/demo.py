"""`mmccd demo`: the whole path on a synthetic cohort, from no data to a table and a picture."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from mmccd.cohort import read_cohort
from mmccd.config import load_config
from mmccd.detector import Detector
from mmccd.evaluation import Evaluation, evaluate
from mmccd.model_file import CARD
from mmccd.phantom import make_phantom
from mmccd.prediction import predict
from mmccd.preparation import StoreSettings, prepare
from mmccd.progress import ProgressCallback
from mmccd.splits import find_split
from mmccd.training import train

HEALTHY, LESIONED = 30, 8
SIZE_PX = 64


@dataclass(frozen=True)
class DemoResult:
    """Where the demo left its results."""

    evaluation: Evaluation
    montage: Path


def run_demo(
    output: Path,
    *,
    seed: int = 0,
    workers: int = 2,
    progress_of: Callable[[str], AbstractContextManager[ProgressCallback]],
) -> DemoResult:
    """Phantom cohort, prepare, train, predict unseen lesioned scans, evaluate, draw; finished steps are kept.

    Args:
        output: Folder for everything that is made.
        seed: Of the phantom and of the training.
        workers: Processes for the phantom and the preparation.
        progress_of: Makes a progress callback for a step of this name.
    """
    data, store_path, model_path = output / "phantom", output / "store", output / "model"
    with progress_of("phantom") as progress:
        make_phantom(data, subjects=HEALTHY, lesions=LESIONED, seed=seed, workers=workers, progress=progress)
    cohort = read_cohort(data)
    split, _ = find_split(cohort)
    settings = StoreSettings("volume", SIZE_PX, ("flair", "t1", "t2"))
    with progress_of("prepare") as progress:
        store, _ = prepare(cohort, split, store_path, settings, workers=workers, progress=progress)
    config = load_config("tiny", {"seed": seed})
    if not (model_path / CARD).exists():
        with progress_of("train") as progress:
            train(store, model_path, config, resume=True, progress=progress)
    with progress_of("predict") as progress:
        detector = Detector.load(model_path, batch_size=64)
        predict(detector, [data], output / "predictions", subjects=split.test, progress=progress)
    with progress_of("evaluate") as progress:
        evaluation = evaluate(output / "predictions", data, output / "evaluation", progress=progress)
    return DemoResult(evaluation, output / "evaluation" / "montage.png")
