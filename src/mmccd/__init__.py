"""Find what should not be there in a brain MRI, without a single annotation.

Train on healthy-looking slices of two modalities, x and y. A forward network translates x to y, a backward network
translates back to x. Tissue that was never seen breaks the cycle, and the error marks it:

    detector = mmccd.Detector.load("model")
    detection = detector.detect("scan_flair.nii.gz")
    detection.mask, detection.anomaly, detection.score, detection.affine

Names are imported when they are first used, so that `import mmccd` is quick.
"""

import os
from getpass import getuser
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmccd.version import __version__

if TYPE_CHECKING:
    from mmccd.comparison.benchmark import benchmark
    from mmccd.comparison.plan import Plan
    from mmccd.comparison.tables import BenchmarkResult
    from mmccd.data.cohort import Cohort, Subject, read_cohort
    from mmccd.data.prepare import prepare
    from mmccd.data.slices import StoreSettings
    from mmccd.data.splits import Split, find_split
    from mmccd.data.store import Store, open_store
    from mmccd.data.validate import validate
    from mmccd.data.volumes import Volume, new_volume, read_volume
    from mmccd.errors import MmccdError
    from mmccd.evaluation.evaluate import evaluate
    from mmccd.evaluation.tables import Evaluation
    from mmccd.model.config import Config, load_config
    from mmccd.model.export import export
    from mmccd.overview.demo import demo
    from mmccd.overview.doctor import doctor
    from mmccd.overview.info import info
    from mmccd.prediction.detector import Detection, Detector
    from mmccd.prediction.predict import predict
    from mmccd.prediction.summary import summarise
    from mmccd.raw.preprocess import preprocess
    from mmccd.reporting.report import report
    from mmccd.simulation.phantom import phantom
    from mmccd.training.calibrate import calibrate
    from mmccd.training.fuse import fuse
    from mmccd.training.train import train

_HOMES = {
    "comparison.benchmark": ("benchmark",),
    "comparison.plan": ("Plan",),
    "comparison.tables": ("BenchmarkResult",),
    "data.cohort": ("Cohort", "Subject", "read_cohort"),
    "data.prepare": ("prepare",),
    "data.slices": ("StoreSettings",),
    "data.splits": ("Split", "find_split"),
    "data.store": ("Store", "open_store"),
    "data.validate": ("validate",),
    "data.volumes": ("Volume", "new_volume", "read_volume"),
    "errors": ("MmccdError",),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.tables": ("Evaluation",),
    "model.config": ("Config", "load_config"),
    "model.export": ("export",),
    "overview.demo": ("demo",),
    "overview.doctor": ("doctor",),
    "overview.info": ("info",),
    "prediction.detector": ("Detection", "Detector"),
    "prediction.predict": ("predict",),
    "prediction.summary": ("summarise",),
    "raw.preprocess": ("preprocess",),
    "reporting.report": ("report",),
    "simulation.phantom": ("phantom",),
    "training.calibrate": ("calibrate",),
    "training.fuse": ("fuse",),
    "training.train": ("train",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BenchmarkResult",
    "Cohort",
    "Config",
    "Detection",
    "Detector",
    "Evaluation",
    "MmccdError",
    "Plan",
    "Split",
    "Store",
    "StoreSettings",
    "Subject",
    "Volume",
    "__version__",
    "benchmark",
    "calibrate",
    "demo",
    "doctor",
    "evaluate",
    "export",
    "find_split",
    "fuse",
    "info",
    "load_config",
    "new_volume",
    "open_store",
    "phantom",
    "predict",
    "prepare",
    "preprocess",
    "read_cohort",
    "read_volume",
    "report",
    "summarise",
    "train",
    "validate",
]


def _name_the_user() -> None:
    """Give a user without a name one: in a container it may be a bare number, and MONAI asks when it is imported."""
    try:
        getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"user{os.getuid()}"


_name_the_user()


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"mmccd.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'mmccd' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
