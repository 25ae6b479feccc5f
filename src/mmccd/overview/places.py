"""Folders in which commands write: whether they can, how much fits, and whether two processes keep apart there."""

import shutil
import tempfile
from pathlib import Path

from mmccd.errors import LockError, WriteError
from mmccd.overview.check import Check
from mmccd.raw.cache import VARIABLE, cache_folder
from mmccd.system.claims import look
from mmccd.system.files import PARTIAL
from mmccd.system.locks import one_at_a_time

FOLDERS = "folders"
LITTLE_GB = 1.0
_OTHER_DISK = "work in a folder on another disk"


def folder_checks() -> list[Check]:
    """The temporary folder, that of what is kept, and the current one, whose path is nobody's business."""
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError:
        checks = [Check(FOLDERS, "temporary", "broken", "none can be written", "set TMPDIR to a folder that can")]
    else:
        checks = [folder_check("temporary", temporary, f"{temporary}", "set TMPDIR to another folder", is_needed=True)]
    cache = cache_folder()
    checks.append(folder_check("cache", cache, f"{cache}", f"set {VARIABLE} to another folder"))
    checks.append(folder_check("current", Path.cwd(), "", "give commands an output folder elsewhere"))
    return checks


def folder_check(what: str, folder: Path, shown: str, remedy: str, *, is_needed: bool = False) -> Check:
    """Write a file and take a lock in a folder, or in the one where it would be made; nothing of it stays.

    Args:
        what: The folder's name.
        folder: It need not be there.
        shown: What is said of where it lies.
        remedy: What to do where it cannot be written.
        is_needed: Whether nothing works without it.
    """
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    said = [shown] if shown else []
    try:
        locks = _locks(there)
    except (OSError, WriteError) as error:
        reason = getattr(error, "error", error)
        found = "; ".join([*said, f"cannot be written: {getattr(reason, 'strerror', None) or reason}"])
        return Check(FOLDERS, what, "broken" if is_needed else "warning", found, remedy)
    except LockError as error:
        found = "; ".join([*said, f"cannot be locked: {error.error.strerror or error.error}"])
        return Check(FOLDERS, what, "broken" if is_needed else "warning", found, _OTHER_DISK)
    free_gb = shutil.disk_usage(there).free / 1e9
    found = "; ".join([*said, "writable", f"{free_gb:.1f} GB free", f"locks {locks}"])
    if free_gb < LITTLE_GB:
        return Check(FOLDERS, what, "warning", found, f"make space, or {remedy}")
    return Check(FOLDERS, what, "ok", found)


def _locks(folder: Path) -> str:
    """By what two processes would keep apart in a folder: see `mmccd.system.claims`."""
    scratch = Path(tempfile.mkdtemp(prefix=".mmccd.", suffix=PARTIAL, dir=folder))
    try:
        (scratch / "file").write_bytes(bytes(4096))
        with one_at_a_time(scratch, "doctor", wait=False) as claim:
            found = look(claim.path) if claim else None
            return "of the system" if found and found.facts.get("flock") else "by signs of life"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
