"""The JSON beside a derivative: it says from which record the file was made, and so whether it is ours."""

from pathlib import Path

from mmccd.system.files import read_record

NIFTI, JSON = ".nii.gz", ".json"
RECORD = "RecordSHA256"
"""Key of the digest of the case's record."""


def beside(place: Path, end: str) -> Path:
    """A derivative, named without an ending, with one."""
    return place.with_name(place.name + end)


def record_behind(place: Path) -> str | None:
    """Digest of the record that a derivative was made of; None for a file that this program has not made."""
    digest = (read_record(beside(place, JSON)) or {}).get(RECORD)
    return digest if isinstance(digest, str) else None


def is_made_of(place: Path, digest: str, **more: str) -> bool:
    """Whether a derivative was made of this very record; where somebody has edited it since, it stays as it is.

    Args:
        place: Of the derivative.
        digest: Of the record.
        more: What else its JSON must say.
    """
    said = read_record(beside(place, JSON)) or {}
    made_of = {RECORD: digest, **more}
    return all(said.get(key) == value for key, value in made_of.items()) and beside(place, NIFTI).is_file()


def remove(place: Path) -> None:
    """Remove a derivative; last what says whose it is."""
    for end in (NIFTI, JSON):
        beside(place, end).unlink(missing_ok=True)
