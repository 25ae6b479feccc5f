"""Where the files of a model lie: in a folder, or in one zip file that is read in memory and never unpacked."""

import re
import stat
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Protocol

from mmccd.data.own_folders import CARD, WEIGHTS
from mmccd.errors import ModelError
from mmccd.system.files import write_atomically

LARGEST_BYTES = {CARD: 4 * 2**20, WEIGHTS: 4 * 2**30}
"""No model of ours comes near; a file that claims more is refused before it is read."""
MOST_FILES = 32  # a fusion has two files for each of its few members, and its own card
LARGEST_RATIO = 100  # weights hardly shrink and a card to a tenth
_MEMBER = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}/)?(card\.json|model\.safetensors)")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED = 0x1


class ModelFiles(Protocol):
    """The files of a model, by name.

    Attributes:
        name: Of the folder or package, for messages.
    """

    name: str

    def read(self, file: str) -> bytes:
        """The whole of a file; raises FileNotFoundError without it, ModelError where it is larger than any model's."""

    def member(self, name: str) -> "ModelFiles":
        """The files of one model of a fusion."""


class Folder:
    """A model as `mmccd train` writes it. Links are followed: what they lead to is read as any other file."""

    def __init__(self, path: Path) -> None:
        self._path, self.name = path, str(path)

    def read(self, file: str) -> bytes:
        """As `ModelFiles.read`."""
        path = self._path / file
        if not path.is_file():
            raise FileNotFoundError(f"it has no {file}")
        _check_size(self.name, file, path.stat().st_size)
        return path.read_bytes()

    def member(self, name: str) -> ModelFiles:
        """As `ModelFiles.member`."""
        return Folder(self._path / name)


class Package:
    """A model in a zip file, its content in memory."""

    def __init__(self, name: str, content: dict[str, bytes], prefix: str = "") -> None:
        self._content, self._prefix, self.name = content, prefix, name

    def read(self, file: str) -> bytes:
        """As `ModelFiles.read`."""
        if self._prefix + file not in self._content:
            raise FileNotFoundError(f"it has no {file}")
        return self._content[self._prefix + file]

    def member(self, name: str) -> ModelFiles:
        """As `ModelFiles.member`."""
        return Package(f"{self.name}/{name}", self._content, f"{self._prefix}{name}/")


def open_model(path: Path) -> ModelFiles:
    """The files of a model in a folder, or in a package that ends in ``.zip``.

    Raises:
        ModelError: the package is damaged, or holds anything but the files of a model; nothing is written anywhere.
    """
    if path.suffix.lower() != ".zip" or not path.is_file():
        return Folder(path)
    hint = "download it again, or give the folder of the model"
    try:
        with zipfile.ZipFile(path) as package:
            entries = package.infolist()
            if reason := _unacceptable(entries):
                raise ModelError(f"{path.name} is no model package: {reason}", "`mmccd export MODEL FILE` writes one")
            return Package(str(path), {entry.filename: _content(package, entry) for entry in entries})
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"{path.name} is damaged: {error}", hint) from error


def write_package(path: Path, content: dict[str, bytes]) -> None:
    """Write the files of a model into one zip, atomically; the same files give the same bytes."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as package:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            package.writestr(entry, content[name])
    write_atomically(path, stream.getvalue())


def _unacceptable(entries: list[zipfile.ZipInfo]) -> str | None:
    if not 0 < len(entries) <= MOST_FILES:
        return f"it holds {len(entries)} files, expected from 1 to {MOST_FILES}"
    seen = set()
    for entry in entries:
        name = entry.filename
        kind = stat.S_IFMT(entry.external_attr >> 16)
        found = _MEMBER.fullmatch(name)
        # `orig_filename` is what stands in the file; zipfile cuts it at a zero byte.
        if not found or entry.orig_filename != name:
            return f"it holds {entry.orig_filename!r}, expected {CARD} and {WEIGHTS}, of a fusion also in folders"
        if name.lower() in seen:
            return f"it holds {name} twice"
        seen.add(name.lower())
        if kind not in (0, stat.S_IFREG):
            return f"{name} is a link or device, not a file"
        if entry.flag_bits & _ENCRYPTED:
            return f"{name} is encrypted"
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return f"{name} is compressed by method {entry.compress_type}, expected stored or deflated"
        if entry.file_size > LARGEST_RATIO * max(entry.compress_size, 1):
            return f"{name} would grow from {entry.compress_size} to {entry.file_size} bytes"
        _check_size("the package", found[2], entry.file_size)
    if sum(entry.file_size for entry in entries) > LARGEST_BYTES[WEIGHTS]:
        return "its files are together larger than any model"
    return None


def _content(package: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with package.open(entry) as stream:
        content = stream.read(entry.file_size + 1)  # never beyond what was checked; verifies the checksum
    if len(content) != entry.file_size:
        raise ValueError(f"{entry.filename} has {len(content)} bytes, its header says {entry.file_size}")
    return content


def _check_size(name: str, file: str, size: int) -> None:
    if size > LARGEST_BYTES[file]:
        raise ModelError(
            f"{file} in {name} claims {size} bytes, expected at most {LARGEST_BYTES[file]}", "this is no model of mmccd"
        )
