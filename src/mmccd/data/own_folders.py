"""The files that `mmccd predict` writes of a case, and how they are told from files of other tools with such names."""

from pathlib import Path

from mmccd.system.files import read_record

ANOMALY_END, MASK_END = "_anomaly.nii.gz", "_mask.nii.gz"
MAPS = (ANOMALY_END, MASK_END)
ENDS = (*MAPS, ".png", ".json")
"""Of the names of a case's files, behind the case; the last is its record."""


def is_record(path: Path) -> bool:
    """Whether `predict` wrote this JSON: other tools lay one of that name beside a scan, as dcm2niix does."""
    values = read_record(path)
    return values is not None and values.get("case") == path.stem and isinstance(values.get("origin"), dict)


def is_result(file: Path) -> bool:
    """Whether a file is a map or mask that `predict` wrote, as its record beside it says."""
    return any(
        file.name.endswith(end) and is_record(file.with_name(f"{file.name.removesuffix(end)}.json")) for end in MAPS
    )
