"""Files that are either whole or absent: atomic writes, and digests that tell one file from another."""

import csv
import glob
import hashlib
import io
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from mmccd.errors import WriteError
from mmccd.system.plain_text import as_cell

PARTIAL = ".partial"
"""End of the names, hidden ones, of what is being written."""
CHANGED = "whatever writes it has to be done first: run the same command again then"
"""What to do about a file that changed while it was read."""
UNSHARED = "unshared"
"""In the place of a token, of 8 characters too."""


@contextmanager
def whole_or_absent(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A stream whose content appears as ``path`` once all of it is on the disk, and not at all otherwise.

    Args:
        path: Its folder is made where there is none.
        mode: Who may read and write it, less what the umask takes away, from the first moment.

    Raises:
        WriteError: it cannot be written; what was there stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
        # Outside of the `try` below: what could not be opened is not this call's to remove.
        stream = open(temporary, "xb", opener=partial(os.open, mode=mode))  # noqa: SIM115
        try:
            with stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise WriteError(path, error) from error


def write_atomically(path: Path, content: bytes | memoryview, *, mode: int = 0o666) -> None:
    """Write ``content`` so that ``path`` never holds a part of it, whenever the process is killed."""
    with whole_or_absent(path, mode=mode) as stream:
        stream.write(content)


@contextmanager
def staging(folder: Path, name: str) -> Iterator[Path]:
    """A hidden folder for files that belong together, to be moved to their places when all are written.

    Several processes may make what has one name at the same time.

    Raises:
        WriteError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=PARTIAL, dir=folder))
    except OSError as error:
        raise WriteError(folder, error) from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def sole_staging(folder: Path, name: str, token: str = UNSHARED) -> Iterator[Path]:
    """As `staging`, where one process at a time makes what has this name.

    What a killed one left is then known without a look at the whole folder, which may hold many thousands of results.

    Args:
        folder: Made where there is none.
        name: Of what is made.
        token: Of the claim of this process to that name (`mmccd.system.locks`), so that one which was taken for dead
            writes nothing among the files of the next; none is needed where a whole folder is claimed.

    Raises:
        WriteError: it cannot be made.
    """
    made = _sole_stage(folder, name, token)
    try:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
    except OSError as error:
        raise WriteError(folder, error) from error
    try:
        yield made
    finally:
        remove_sole_stage(folder, name, token)


def remove_sole_stage(folder: Path, name: str, token: str = UNSHARED) -> None:
    """Remove what a killed process left in `sole_staging`; none may be at work there."""
    shutil.rmtree(_sole_stage(folder, name, token), ignore_errors=True)


def _sole_stage(folder: Path, name: str, token: str) -> Path:
    return folder / f".{name}.{token}{PARTIAL}"


def partial_names(folder: Path) -> list[str]:
    """What is being written in ``folder``, or was when a process was killed."""
    return sorted(path.name[1 : -len(PARTIAL)].rpartition(".")[0] for path in folder.glob(f".*{PARTIAL}"))


def remove_partial(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left half-written; none may be at work there.

    Args:
        folder: Searched with its subfolders, unless a name is given; but not those that hold a lock: there another
            command is at work, or was, and clears up when it goes on.
        name: Only what was to have this name.
    """
    pattern = f".{glob.escape(name) if name else '*'}.????????{PARTIAL}"
    for place, folders, files in os.walk(folder):
        if Path(place) != folder and any(fnmatchcase(file, ".*.lock") for file in files):
            folders.clear()
            continue
        for path in (Path(place, found) for found in (*folders, *files) if fnmatchcase(found, pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        if name:
            return


def write_json(path: Path, value: Any, *, mode: int = 0o666) -> None:
    """Write ``value`` as indented JSON, atomically; NaN is written as null."""
    text = json.dumps(_without_nan(value), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode(errors="backslashreplace"), mode=mode)


def read_record(path: Path) -> dict[str, Any] | None:
    """The JSON table that an earlier run wrote; None where there is none, or something else in its place."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Write rows with ``columns`` as the header, or the keys of the first row, atomically.

    All text goes through `as_cell`: names come from files of unknown origin.
    """
    rows = [{key: as_cell(value) if isinstance(value, str) else value for key, value in row.items()} for row in rows]
    stream = io.StringIO(newline="")
    if columns is None and rows:
        columns = list(rows[0])
    if columns:
        writer = csv.DictWriter(stream, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_atomically(path, stream.getvalue().encode(errors="backslashreplace"))


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, as far as its file system can."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def state_of(path: Path) -> tuple[int, ...]:
    """What changes when a file is written, or another is put in its place.

    Raises:
        OSError: it cannot be looked up.
    """
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def sha256_of_file(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_json(value: Any) -> str:
    """Hex digest of a JSON-able value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
