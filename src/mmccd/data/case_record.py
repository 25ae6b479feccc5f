"""The record that `mmccd predict` lays beside a map and a mask: what was found, by which model, from which scan."""

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_serializer

from mmccd.data.own_folders import BRAIN_END, MAPS
from mmccd.errors import DataError, MmccdError
from mmccd.scoring.findings import Finding
from mmccd.scoring.thresholds import Threshold
from mmccd.system.documents import Document

AGAIN = "score it again with `mmccd predict --overwrite`"


class HealthyReference(Document):
    """The healthy subjects that a score is compared with."""

    healthy_subjects: int = 0
    healthy_scores: tuple[float, ...] = ()
    chosen_on: str = Field("", alias="from")


class IntensityCut(Document):
    """Where the plain intensity of this modality is cut, which evaluations show beside the model."""

    polarity: Literal["bright", "dark"]
    smooth_mm: float
    threshold: float
    smoothed_threshold: float
    added_to: str | None = None


class ModelNamed(Document):
    """Which model it was, in words."""

    method: str
    targets: tuple[str, ...] = ()


class CaseRecord(Document):
    """`<case>.json`: everything that is said of one case, but its map and its mask.

    Attributes:
        min_lesion_ml: Connected parts of the mask that were smaller have been removed from it.
        findings: Connected parts of the mask; None where an earlier version did not write them.
        brain_from: What found the brain of a scan with skull; empty where nothing had to.
    """

    case: str
    source: str
    score: float
    score_definition: str = "score of its map"
    p_value: float
    p_value_of: HealthyReference = HealthyReference()
    threshold: float
    threshold_origin: Threshold
    lesion_volume_ml: float
    brain_volume_ml: float
    min_lesion_ml: float = 0.0
    findings: tuple[Finding, ...] | None = None
    warnings: tuple[str, ...] = ()
    trained_on: bool = False
    brain_from: str = ""
    seconds: float
    intensity: IntensityCut
    model: ModelNamed
    origin: dict[str, str]
    provenance: dict[str, Any] = Field(default_factory=dict)

    @field_serializer("findings")
    def _as_tables(self, findings: tuple[Finding, ...] | None) -> list[dict[str, Any]] | None:
        """A place that is not known is written as null."""
        return None if findings is None else [asdict(finding) for finding in findings]


def read_case_record(path: Path) -> CaseRecord:
    """Read the record of a case.

    Raises:
        DataError: it is not there, or is no record of this case.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"cannot read {path.name}: {error.strerror}", AGAIN) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is torn: {error}", AGAIN) from error
    record = CaseRecord.parse(values, path.name, remedy=AGAIN, error=DataError)
    if record.case != path.stem:
        raise DataError(f"{path.name} is the record of another case", AGAIN)
    return record


def kept_case_record(path: Path) -> CaseRecord | None:
    """The record of a case, or None where there is none, or something else in its place."""
    with suppress(MmccdError):
        return read_case_record(path)
    return None


def is_case_record(path: Path) -> bool:
    """Whether `predict` wrote this JSON, were it in another version: other tools lay one of that name beside a scan."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and values.get("case") == path.stem and isinstance(values.get("origin"), dict)


def is_result(file: Path) -> bool:
    """Whether a file is a map, a mask or a brain that `predict` wrote, as its record beside it says."""
    return any(
        file.name.endswith(end) and is_case_record(file.with_name(f"{file.name.removesuffix(end)}.json"))
        for end in (*MAPS, BRAIN_END)
    )
