"""`mmccd demo`: the whole path on a synthetic cohort, for two methods, from no data to a table and a picture."""

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
from mmccd.scored_case import BASELINES
from mmccd.splits import find_split
from mmccd.training import train

HEALTHY, LESIONED = 30, 8
SIZE_PX = 64
STEPS = 300
PRESETS = {"mmccd": ("tiny", "best"), "cyclic-unet": ("tiny",)}
"""The method of this project, and the one that it builds on, as published."""


@dataclass(frozen=True)
class DemoResult:
    """Where the demo left its results.

    Attributes:
        evaluations: By method.
        montage: Picture of what MMCCD found.
    """

    evaluations: dict[str, Evaluation]
    montage: Path

    def table(self) -> list[list[str]]:
        """Header, one line per method, and the intensity baselines: mean [low, high]."""
        ours, *others = (evaluation.table() for evaluation in self.evaluations.values())
        return [*ours[:2], *(lines[1] for lines in others), *(line for line in ours[2:] if line[0] in BASELINES)]


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
    data = output / "phantom"
    with progress_of("phantom") as progress:
        make_phantom(data, subjects=HEALTHY, lesions=LESIONED, seed=seed, workers=workers, progress=progress)
    cohort = read_cohort(data)
    split, _ = find_split(cohort)
    settings = StoreSettings("volume", SIZE_PX, ("flair", "t1", "t2"))
    with progress_of("prepare") as progress:
        store, _ = prepare(cohort, split, output / "store", settings, workers=workers, progress=progress)
    evaluations = {}
    for method, presets in PRESETS.items():
        folder = output / method
        overrides = {"method": method, "seed": seed, "training.steps": STEPS}
        if not (folder / "model" / CARD).exists():
            with progress_of(f"train {method}") as progress:
                train(store, folder / "model", load_config(presets, overrides), resume=True, progress=progress)
        with progress_of(f"predict {method}") as progress:
            detector = Detector.load(folder / "model", batch_size=64)
            predict(detector, [data], folder / "predictions", subjects=split.test, progress=progress)
        with progress_of(f"evaluate {method}") as progress:
            evaluations[method] = evaluate(
                folder / "predictions", data, folder / "evaluation", progress=progress
            )  # fmt: skip
    return DemoResult(evaluations, output / "mmccd" / "evaluation" / "montage.png")
