"""What lies in an export: DICOM files, whatever they are called, and scans in other formats beside them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmccd.data.case_record import is_result
from mmccd.data.formats import is_scan_name
from mmccd.data.layouts.names import MASKS, role_of

PREAMBLE, MAGIC = 128, b"DICM"
TRIED = 20
"""Files of a folder that are opened to see whether it holds DICOM; before slices there may be notes."""
FOLDERS = 1000
"""How many are looked at once scans in another format are found, to see whether DICOM lies beside them."""


class Kinds(NamedTuple):
    """What an export holds."""

    dicom: bool
    others: bool


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, whatever its name; or has such a name and no preamble, as old ones.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as stream:
        start = stream.read(PREAMBLE + len(MAGIC))
    return start[PREAMBLE:] == MAGIC or (
        path.suffix.lower() in (".dcm", ".ima") and start[:2] in (b"\x08\0", b"\x02\0")
    )


def dicom_files(root: Path) -> tuple[list[Path], list[Path]]:
    """All DICOM files of a folder and those below, or the file itself; and files and folders that cannot be opened."""
    found: list[Path] = []
    closed: list[Path] = []
    for _, files in [(root.parent, [root])] if root.is_file() else _folders(root, closed):
        for path in files:
            try:
                if path.name.upper() != "DICOMDIR" and is_dicom(path):
                    found.append(path)
            except OSError:
                closed.append(path)
    return found, closed


def kinds_in(root: Path) -> Kinds:
    """Whether a folder, or one below, holds DICOM files, and scans in another format; or is such a file.

    Masks and results of `mmccd predict` are no scans here: they may lie beside the DICOM files that they belong to.
    """
    if root.is_file():
        return Kinds(_is_dicom(root), is_scan_name(root.name))
    dicom = others = False
    for number, (_, files) in enumerate(_folders(root)):
        scans = [file for file in files if is_scan_name(file.name)]
        others = others or any(role_of(file) not in MASKS and not is_result(file) for file in scans)
        rest = (file for file in files if not is_scan_name(file.name))
        dicom = dicom or any(_is_dicom(file) for _, file in zip(range(TRIED), rest, strict=False))
        if (dicom and others) or (others and number >= FOLDERS):
            break
    return Kinds(dicom, others)


def holds_dicom(root: Path) -> bool:
    """Whether a folder is to be read as DICOM: it holds such files, and no scan in another format."""
    kinds = kinds_in(root)
    return kinds.dicom and not kinds.others


def _is_dicom(path: Path) -> bool:
    try:
        return is_dicom(path)
    except OSError:
        return False


def _folders(root: Path, closed: list[Path] | None = None) -> Iterator[tuple[Path, list[Path]]]:
    """A folder and those below, each once, also behind links, with its files; hidden ones are nobody's scans.

    Folders that cannot be opened are left out, and put into ``closed``.
    """

    def no_entry(error: OSError) -> None:
        if closed is not None:
            closed.append(Path(error.filename))

    seen = set()
    for place, folders, files in os.walk(root, onerror=no_entry, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        folder = Path(place)
        yield folder, [folder / name for name in sorted(files) if not name.startswith(".")]
