"""What `predict` writes down of a case, and from what it was made."""

from mmccd.data.case_record import CaseRecord, HealthyReference, IntensityCut, ModelNamed
from mmccd.data.formats import check_is_file
from mmccd.data.pseudonyms import names_of_files, redact
from mmccd.prediction.detector import Detection, Detector
from mmccd.prediction.inputs import Input
from mmccd.system.files import sha256_of_file
from mmccd.system.provenance import provenance
from mmccd.version import __version__


def recipe(detector: Detector) -> dict[str, str]:
    """What decides a result besides the files of the case: the beginning of its origin."""
    origin = {
        "version": __version__,
        "model": detector.model.card.digest,
        "runtime": detector.runtime,
        "threshold": detector.threshold.criterion,
    }
    if detector.min_lesion_ml > 0:
        origin["min_lesion_ml"] = repr(detector.min_lesion_ml)
    return origin


def origin_of(detector: Detector, item: Input) -> dict[str, str]:
    """All that decides a result, files by their digests: what is kept must have been made from the same."""
    origin = recipe(detector)
    for name, image in item.files.items():
        if image is not None:
            check_is_file(image.path)
            channel = "" if image.channel is None else f"#{image.channel}"
            origin[name] = sha256_of_file(image.path) + channel
    return origin


def record_of(
    detector: Detector, item: Input, detection: Detection, origin: dict[str, str], seconds: float, brain_from: str = ""
) -> CaseRecord:
    """The record of one case; ``brain_from`` says what found its brain where something had to."""
    card = detector.model.card
    members = [member.config for member in detector.model.members]
    return CaseRecord(
        case=item.case,
        source=detector.sources[0],
        score=detection.score,
        score_definition=card.score_definition,
        p_value=detection.p_value,
        p_value_of=HealthyReference(
            healthy_subjects=len(card.healthy_scores),
            healthy_scores=card.healthy_scores,
            **{"from": card.threshold.chosen_on},
        ),
        threshold=detection.threshold,
        threshold_origin=detector.threshold,
        lesion_volume_ml=detection.lesion_volume_ml,
        brain_volume_ml=detection.brain_volume_ml,
        min_lesion_ml=detection.min_lesion_ml,
        findings=detection.findings,
        warnings=tuple(nameless(item, text) for text in detection.warnings),
        trained_on=detection.trained_on,
        brain_from=brain_from,
        seconds=seconds,
        intensity=_intensity(detector),
        model=ModelNamed(
            method=members[0].method if len(members) == 1 else "fusion of " + ", ".join(detector.sources),
            targets=tuple(name for config in members for name in config.targets),
        ),
        origin=origin,
        provenance=provenance(device=str(detector.device)),
    )


def nameless(item: Input, text: str) -> str:
    """A message without names where the case has none."""
    if item.private_id is None:
        return text
    return redact(text, {item.private_id: item.case}, names_of_files(item.files, item.case))


def _intensity(detector: Detector) -> IntensityCut:
    """Where the plain intensity is cut, as the model's card says for this kind of threshold."""
    baseline = detector.model.card.intensity_baseline
    values = baseline.of(detector.kind)
    if values is None:
        raise AssertionError("the detector refuses a threshold that the card does not have")
    return IntensityCut(
        polarity=baseline.polarity,
        smooth_mm=baseline.smooth_mm,
        threshold=values.plain,
        smoothed_threshold=values.smoothed,
        added_to=detector.threshold.added_to,
    )
