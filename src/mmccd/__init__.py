"""Find what should not be there in a brain MRI, without a single annotation.

Train on healthy-looking slices of two modalities, x and y. A forward network translates x to y, a backward network
translates back to x. Tissue that was never seen breaks the cycle, and the error marks it:

    detector = mmccd.Detector.load("model")
    detection = detector.detect("scan_flair.nii.gz")
    detection.mask, detection.anomaly, detection.score, detection.affine

Names are imported when they are first used, so that `import mmccd` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmccd.version import __version__

if TYPE_CHECKING:
    from mmccd.data.cohort import Cohort, Subject, read_cohort
    from mmccd.data.prepare import StoreSettings, prepare
    from mmccd.data.splits import Split, find_split
    from mmccd.data.store import Store, open_store
    from mmccd.data.validate import validate_cohort
    from mmccd.data.volumes import Volume, read_volume
    from mmccd.errors import MmccdError
    from mmccd.evaluation.evaluate import Evaluation, evaluate
    from mmccd.model.config import Config, load_config
    from mmccd.prediction.detector import Detection, Detector
    from mmccd.prediction.predict import predict
    from mmccd.simulation.phantom import make_phantom
    from mmccd.training.calibrate import recalibrate
    from mmccd.training.train import train

_HOMES = {
    "data.cohort": ("Cohort", "Subject", "read_cohort"),
    "model.config": ("Config", "load_config"),
    "prediction.detector": ("Detection", "Detector"),
    "errors": ("MmccdError",),
    "evaluation.evaluate": ("Evaluation", "evaluate"),
    "simulation.phantom": ("make_phantom",),
    "prediction.predict": ("predict",),
    "data.prepare": ("StoreSettings", "prepare"),
    "training.calibrate": ("recalibrate",),
    "data.splits": ("Split", "find_split"),
    "data.store": ("Store", "open_store"),
    "training.train": ("train",),
    "data.validate": ("validate_cohort",),
    "data.volumes": ("Volume", "read_volume"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Cohort",
    "Config",
    "Detection",
    "Detector",
    "Evaluation",
    "MmccdError",
    "Split",
    "Store",
    "StoreSettings",
    "Subject",
    "Volume",
    "__version__",
    "evaluate",
    "find_split",
    "load_config",
    "make_phantom",
    "open_store",
    "predict",
    "prepare",
    "read_cohort",
    "read_volume",
    "recalibrate",
    "train",
    "validate_cohort",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"mmccd.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'mmccd' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
