"""The record of one contender on one source modality, and how it is read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mmccd.comparison.contenders import BEST, PAPER_SAMPLER, file_name_of
from mmccd.errors import DataError, MmccdError
from mmccd.system.documents import Document

Row = dict[str, Any]
"""What was measured on one subject; None where it is not defined."""
_AGAIN = "run `mmccd benchmark` again: it goes on where it stopped"
_OLD_CONTENDERS = {"MMCCD best": BEST, "MMCCD published": PAPER_SAMPLER}


class BenchmarkRecord(Document):
    """Everything that is known of one row of a benchmark.

    Attributes:
        rows: Of the test subjects, on whole volumes; none for the paper's sampler.
        kinds: The same of further stores, by kind of disease.
        paper: Of the paper's protocol, a slice a subject.
        artefacts: AUROC by kind of planted artefact.
        precision_at_recalls: The mean curve.
    """

    contender: str
    method: str
    scoring: str
    source: str
    size: str = ""
    seed: int = 0
    store_digest: str = ""
    split_digest: str = ""
    thresholds: dict[str, float] = Field(default_factory=dict)
    rows: list[Row] = Field(default_factory=list)
    kinds: dict[str, list[Row]] = Field(default_factory=dict)
    paper: list[Row] = Field(default_factory=list, alias="paper_protocol")
    artefacts: dict[str, float | None] = Field(default_factory=dict)
    precision_at_recalls: list[float | None] = Field(default_factory=list)
    oracle_threshold: float | None = None
    evaluations_per_slice: float = 0.0
    seconds_per_slice: float | None = None
    peak_memory_gb: float | None = None
    parameters: int = 0
    training_steps: int | None = None
    batch_size: int | None = None
    guarantee: str = ""
    config_digest: str = ""
    weights_sha256: str = ""
    provenance: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def read(cls, values: Any, name: str) -> "BenchmarkRecord":
        """Check a record, of this version or an earlier one.

        Raises:
            DataError: it is none.
        """
        if isinstance(values, dict):
            values = values | {
                "contender": _OLD_CONTENDERS.get(str(values.get("contender")), values.get("contender")),
                "scoring": {"square": "squared"}.get(str(values.get("scoring")), values.get("scoring")),
            }
            if "published" in values:
                values = {"paper_protocol": values["published"], **values}
        return cls.parse(values, name, remedy=_AGAIN, error=DataError)

    @property
    def volume_ml(self) -> Mapping[str, float]:
        """Of the expert's lesion, by subject."""
        return {row["subject"]: float(row["lesion_ml"]) for row in self.rows}

    @property
    def versions(self) -> Mapping[str, str]:
        """Of what made it."""
        versions: Mapping[str, str] = self.provenance.get("versions", {})
        return versions

    @property
    def device(self) -> str:
        """Where it was made."""
        return str(self.provenance.get("device", "an unknown device"))


def record_path(output: Path, source: str, contender: str) -> Path:
    """Where the record of a row lies in a benchmark's folder; its maps lie beside it, as ``.npy``."""
    return output / "scores" / source / f"{file_name_of(contender)}.json"


def kept_record(path: Path) -> BenchmarkRecord | None:
    """The record of an earlier run with its maps; what cannot be read is done again."""
    try:
        read_maps(path)
        return BenchmarkRecord.read(json.loads(path.read_text(encoding="utf-8")), path.name)
    except (OSError, ValueError, EOFError, RecursionError, MmccdError):
        return None


def read_maps(path: Path) -> NDArray[np.float32]:
    """The maps beside a record, (subjects, height, width); never an archive or a pickle.

    Raises:
        OSError, ValueError, EOFError: they cannot be read.
    """
    with path.with_suffix(".npy").open("rb") as stream:
        maps: NDArray[np.float16] = np.lib.format.read_array(stream, allow_pickle=False)
    return maps.astype(np.float32)


def read_results(path: Path) -> list[BenchmarkRecord]:
    """All records of a benchmark, as `results.json` has them.

    Raises:
        DataError: they cannot be read, or none of them is scored.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is torn: {error}", _AGAIN) from error
    if not isinstance(values, list) or not any(isinstance(one, dict) and one.get("rows") for one in values):
        raise DataError(f"{path} holds no scored method", _AGAIN)
    return [BenchmarkRecord.read(one, f"a record of {path}") for one in values]
