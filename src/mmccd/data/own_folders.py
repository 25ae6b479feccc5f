"""What this program writes into a folder, and what kind of folder that makes it."""

from pathlib import Path
from typing import Literal

from mmccd.errors import ConfigError
from mmccd.system.files import read_record

PROGRAM = "mmccd"
MANIFEST, INDEX = "manifest.json", "index.csv"
CARD, WEIGHTS = "card.json", "model.safetensors"
RESULTS = "results.json"
SUMMARY = "summary.csv"
FINDINGS = "findings.csv"
ANOMALY_END, MASK_END = "_anomaly.nii.gz", "_mask.nii.gz"
BRAIN_END = "_brain.nii.gz"
SEGMENTATION_END, PICTURE_END = "_seg.dcm", ".png"
MAPS = (ANOMALY_END, MASK_END)
NOT_ALWAYS = (BRAIN_END, SEGMENTATION_END, PICTURE_END)
"""Of files that are only there where a brain had to be found, or they were asked for."""
ENDS = (*MAPS, *NOT_ALWAYS, ".json")
"""Of the names of a case's files, behind the case; the last is its record."""

DESCRIPTION = "dataset_description.json"
"""What makes a folder a dataset of BIDS, and says which program wrote it."""
NATIVE = f"sourcedata/{PROGRAM}"
"""Within derivatives of ours: the folder of what `predict` itself writes, where validators do not look."""

Kind = Literal["store", "model", "benchmark", "predictions", "derivatives"]
NAMES: dict[Kind, str] = {
    "store": "a prepared store",
    "model": "a model",
    "benchmark": "the results of a benchmark",
    "predictions": "results of `mmccd predict`",
    "derivatives": "results of `mmccd predict --bids`",
}


def kind_of(folder: Path) -> Kind | None:
    """What a folder was written as; None for anything else, were it empty or no folder."""
    if (folder / MANIFEST).is_file():
        return "store"
    if (folder / CARD).is_file():
        return "model"
    if (folder / RESULTS).is_file():
        return "benchmark"
    if (folder / SUMMARY).is_file() or (folder.is_dir() and any(folder.glob(f"*{ANOMALY_END}"))):
        return "predictions"
    if is_own_dataset(folder):
        return "derivatives"
    return None


def is_own_dataset(folder: Path) -> bool:
    """Whether a folder holds BIDS derivatives that this program made: what it found is no scan and no expert's mask."""
    made_by = (read_record(folder / DESCRIPTION) or {}).get("GeneratedBy")
    return isinstance(made_by, list) and any(isinstance(one, dict) and one.get("Name") == PROGRAM for one in made_by)


def results_in(folder: Path) -> Path:
    """Where `predict` has written, be ``folder`` its results or BIDS derivatives made of them."""
    return folder / NATIVE if kind_of(folder) == "derivatives" else folder


def check_vacant(folder: Path) -> None:
    """Refuse a folder that something else than a new model lies in.

    Raises:
        ConfigError: it holds a prepared store or a model.
    """
    kind = kind_of(folder)
    if kind == "store":
        raise ConfigError(f"{folder} is a prepared store, a model needs a folder of its own", "choose another folder")
    if kind == "model":
        raise ConfigError(f"{folder} already holds a model", "choose another folder, or delete this one")
