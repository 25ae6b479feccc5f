"""The card of a model: how to use it, where it comes from, and what its thresholds guarantee."""

import json
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr

from mmccd.data.grid import ModelGrid
from mmccd.errors import ConfigError, ModelError
from mmccd.method.intensity import INTENSITY_MAP
from mmccd.model.config import Config, parse_config
from mmccd.scoring.thresholds import Threshold, Thresholds
from mmccd.system.documents import Document
from mmccd.system.files import sha256_of_json

FORMAT = 1
INTENDED_USE = "Research. Not a medical device: never use it for diagnosis."
THRESHOLD_KINDS = {"voxel": "threshold", "scan": "scan_threshold", "relative": "relative_threshold"}
"""Of thresholds, and their names on a card."""
_AGAIN = "copy the model folder again"
BRIGHTEST = float(np.finfo(np.float16).max)
"""Of normalised slices, which are stored in float16; see `mmccd.data.volumes.check_range`."""
HIGHEST = (2 * BRIGHTEST) ** 2
"""No map exceeds it: it is the largest squared error, and evidence is far below."""

Count = Annotated[int, Field(ge=0, le=10**15)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Intensity = Annotated[float, Field(ge=-HIGHEST, le=HIGHEST, allow_inf_nan=False)]
MapValue = Annotated[float, Field(ge=0, le=HIGHEST, allow_inf_nan=False)]


def _checked(threshold: Threshold, lowest: float) -> Threshold:
    if not lowest <= threshold.value <= HIGHEST:  # nor NaN
        raise ValueError(f"the value is {threshold.value:g}, expected from {lowest:g} to {HIGHEST:g}")
    if threshold.subjects < 0 or threshold.slices < 0:
        raise ValueError(f"chosen on {threshold.subjects} subjects and {threshold.slices} slices")
    return threshold


def _absolute(threshold: Threshold) -> Threshold:
    if threshold.added_to is not None:
        raise ValueError(f"it is to be added to the {threshold.added_to}, and stands for itself")
    return _checked(threshold, 0)


def _relative(threshold: Threshold) -> Threshold:
    if not threshold.added_to:
        raise ValueError("it does not say what it is to be added to")
    return _checked(threshold, -HIGHEST)


def _is_ours(values: dict[str, Any]) -> dict[str, Any]:
    if values and values != INTENSITY_MAP:
        raise ValueError(f"intensities are mapped otherwise than here: {values}, expected {INTENSITY_MAP}")
    return values


def on_card(thresholds: Thresholds) -> dict[str, Any]:
    """Thresholds by their names on a card, for a new one or a changed copy."""
    return {key: getattr(thresholds, kind) for kind, key in THRESHOLD_KINDS.items()} | {
        "healthy_scores": thresholds.healthy_scores
    }


class IntensityValues(Document):
    """Thresholds of one kind for the plain intensity, and for the smoothed one."""

    plain: Intensity
    smoothed: Intensity


class IntensityThresholds(Document):
    """Where the intensity of the source modality is cut, chosen as the model's thresholds are."""

    polarity: Literal["bright", "dark"]
    smooth_mm: Annotated[float, Field(ge=0, le=20, allow_inf_nan=False)]
    threshold: IntensityValues
    scan_threshold: IntensityValues
    relative_threshold: IntensityValues | None = None

    def of(self, kind: str) -> IntensityValues | None:
        """Of one of `THRESHOLD_KINDS`; None where a card is older than that kind."""
        found: IntensityValues | None = getattr(self, THRESHOLD_KINDS[kind])
        return found


class PartOfData(Document):
    """How much of a store was used."""

    subjects: Count
    healthy_slices: Count
    seen_by_height: tuple[Share, ...] = ()
    """Share of the brain that counted as healthy, by tenths of its height from below; older cards do not say."""


class Data(Document):
    """Which data a model was trained or calibrated on."""

    store_digest: str = ""
    split_digest: str = ""
    scans_sha256: tuple[str, ...] = ()
    train: PartOfData | None = None
    validation: PartOfData | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)


class Training(Document):
    """How far a training went; the last losses, such as ``validation/cycle``, lie beside."""

    steps: Count


def _no_number(text: str) -> None:
    raise ValueError(f"it holds {text}, which is no number")


def _settings(values: Any) -> Any:
    if values is None or isinstance(values, Config):
        return values
    try:
        return parse_config(values, trained=True)
    except ConfigError as error:
        raise ModelError(f"settings of another version: {error.message}", error.hint or "update mmccd") from error


class Card(Document):
    """`card.json`, of a model or of a fusion of several.

    Attributes:
        config: None for a fusion, whose members have one each.
        members: Folders of the members of a fusion; a model has none.
    """

    format: int
    grid: ModelGrid
    threshold: Annotated[Threshold, AfterValidator(_absolute)]
    scan_threshold: Annotated[Threshold, AfterValidator(_absolute)]
    relative_threshold: Annotated[Threshold, AfterValidator(_relative)] | None = None
    healthy_scores: Annotated[tuple[MapValue, ...], Field(min_length=1)]
    score_definition: str
    intensity_baseline: IntensityThresholds
    intensity: Annotated[dict[str, Any], AfterValidator(_is_ours)] = Field(default_factory=dict)
    training_data: Data = Data()
    calibration: Data | None = None
    training: Training | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)
    intended_use: str = INTENDED_USE
    config: Annotated[Config | None, BeforeValidator(_settings)] = None
    weights_sha256: str = ""
    parameters: Count = 0
    members: tuple[str, ...] = ()
    _digest: str = PrivateAttr("")

    @classmethod
    def read(cls, content: bytes, name: str) -> Self:
        """Check a card as it lies on the disk.

        Args:
            content: Of the file.
            name: Of the file and its folder, for messages.

        Raises:
            ModelError: it is damaged, or was written by a later version.
        """
        try:
            values = json.loads(content, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{name} is damaged: {error}", _AGAIN) from error
        found = values.get("format") if isinstance(values, dict) else None
        if found is not None and found != FORMAT:
            raise ModelError(f"{name} has model format {found}, expected {FORMAT}", "update mmccd, or train again")
        of_model = ("config", "weights_sha256") if isinstance(values, dict) and not values.get("members") else ()
        if missing := [key for key in of_model if not values.get(key)]:
            raise ModelError(f"{name} lacks {', '.join(missing)}", _AGAIN)
        card = cls.parse(values, name, remedy=_AGAIN, error=ModelError)
        card._digest = sha256_of_json(values)
        return card

    @property
    def digest(self) -> str:
        """Of the card as it was read: results say by it which model made them."""
        return self._digest

    @property
    def thresholds(self) -> Thresholds | None:
        """All of them; None where the card is of a version that did not know them all."""
        if self.relative_threshold is None:
            return None
        return Thresholds(self.threshold, self.scan_threshold, self.relative_threshold, self.healthy_scores)

    def threshold_of(self, kind: str) -> Threshold | None:
        """One of `THRESHOLD_KINDS`; None where the card is older than that kind."""
        found: Threshold | None = getattr(self, THRESHOLD_KINDS[kind])
        return found

    @property
    def calibrated_on(self) -> Data:
        """The data whose healthy slices its thresholds are of."""
        return self.calibration or self.training_data

    @property
    def scans_sha256(self) -> tuple[str, ...]:
        """Digests of all scans that it knows, as far as it says."""
        data = (self.training_data, self.calibration or Data())
        return tuple(digest for one in data for digest in one.scans_sha256)

    def as_json(self) -> dict[str, Any]:
        """What is written; settings in full, also those that nobody named."""
        settings = {} if self.config is None else {"config": self.config.model_dump(mode="json")}
        return super().as_json() | settings | {"intended_use": self.intended_use}
