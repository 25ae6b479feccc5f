"""The derivatives of one case: its maps under their BIDS names, each with a JSON that says what it is."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmccd.data.case_record import CaseRecord, kept_case_record
from mmccd.data.cohort import Image, Subject
from mmccd.data.own_folders import ANOMALY_END, BRAIN_END, MASK_END, NATIVE
from mmccd.prediction.bids_names import RAW, derived_name, folder_of, uri
from mmccd.prediction.bids_roi import remove_rois, write_roi
from mmccd.prediction.bids_sidecars import JSON, NIFTI, RECORD, beside, is_made_of, record_behind, remove
from mmccd.prediction.summary import Outcome
from mmccd.raw.brain import Strip
from mmccd.system.files import sha256_of_file, write_atomically, write_json

_KINDS = ("*_desc-anomaly_*", "*_label-lesion_mask.*", "*_desc-brain_mask.*")


def write_case(
    output: Path,
    root: Path,
    subject: Subject | None,
    outcome: Outcome,
    sources: Sequence[str],
    *,
    units: str,
    strip: Strip = "auto",
) -> str:
    """Write the derivatives of a case, or remove those of an earlier run where it has failed.

    Args:
        output: The derivatives.
        root: The dataset of the scans.
        subject: The files of the case; None where there are none that can be used.
        outcome: What became of it.
        sources: Modalities that were scored, the first of which lends grid and name.
        units: Of the map.
        strip: As of `predict`.

    Returns:
        What a user should know; mostly nothing.

    Raises:
        WriteError: a file cannot be written.
    """
    native = output / NATIVE / f"{outcome.case}{JSON}"
    record = kept_case_record(native)
    if record is None or subject is None or outcome.status == "failed":
        _remove_others(output, outcome.case, ())
        return ""
    images = {name: subject.images[name] for name in sources}
    source = images[sources[0]].path
    files = {
        ANOMALY_END: derived_name(source, desc="anomaly"),
        MASK_END: derived_name(source, "mask", label="lesion"),
        BRAIN_END: derived_name(source, "mask", desc="brain"),
    }
    said = _said(record, images, subject, root, files, units)
    there = {end: place for end, place in files.items() if native.with_name(f"{record.case}{end}").is_file()}
    digest = sha256_of_file(native)
    if not all(is_made_of(output / place, digest) for place in there.values()):
        for end, place in there.items():
            beside(output / place, JSON).unlink(missing_ok=True)  # of an earlier map
            write_atomically(beside(output / place, NIFTI), native.with_name(f"{record.case}{end}").read_bytes())
            write_json(beside(output / place, JSON), said[end] | {RECORD: digest})
    _remove_others(output, record.case, there.values())
    return write_roi(output, subject, sources[0], beside(output / files[MASK_END], NIFTI), strip, digest)


def _said(
    record: CaseRecord,
    images: Mapping[str, Image],
    subject: Subject,
    root: Path,
    files: Mapping[str, Path],
    units: str,
) -> dict[str, dict[str, Any]]:
    """What stands beside each file."""
    given = [*images.values(), *([subject.brain] if subject.brain else [])]
    raw = [uri(image.path.relative_to(root), RAW) for image in given]
    anomaly = uri(beside(files[ANOMALY_END], NIFTI))
    threshold = {
        "Threshold": record.threshold,
        "ThresholdUnits": units,
        "ThresholdCriterion": record.threshold_origin.criterion,
    }
    common = {"SpatialReference": raw[0], "ModelDigest": record.origin.get("model", "")}
    return {
        ANOMALY_END: {
            "Description": "How unusual each voxel is, higher is more unusual; 0 outside the brain. No probability.",
            "Sources": raw,
            "SkullStripped": True,
            "Units": units,
            **threshold,
            "Score": record.score,
            "ScoreDefinition": record.score_definition,
            "PValue": record.p_value,
            "LesionVolumeMl": record.lesion_volume_ml,
            "BrainVolumeMl": record.brain_volume_ml,
            "Warnings": list(record.warnings),
            **common,
        },
        MASK_END: {
            "Type": "Lesion",
            "Description": "1 where the anomaly map exceeds the threshold.",
            "Manual": False,
            "Sources": [anomaly],
            **threshold,
            **common,
        },
        BRAIN_END: {
            "Type": "Brain",
            "Description": f"The brain, found by {record.brain_from}." if record.brain_from else "The brain.",
            "Manual": False,
            "Sources": raw[:1],
            **common,
        },
    }


def _remove_others(output: Path, case: str, kept: Iterable[Path]) -> None:
    """Remove what an earlier run wrote of this case, under other names or before it failed."""
    stay = {place.name for place in kept}
    folder = output / folder_of(case)
    found = {path.with_name(path.name.partition(".")[0]) for pattern in _KINDS for path in folder.glob(pattern)}
    for place in (place for place in found if place.name not in stay):
        if record_behind(place) is not None or "desc-anomaly" in place.name:  # else somebody else's
            remove(place)
    if not stay:
        remove_rois(output, case)
