"""Errors that users meet: each says what is wrong, what was found, what is allowed, and the remedy."""

from pathlib import Path
from typing import Any


class MmccdError(Exception):
    """Anything wrong that a user can mend.

    Args:
        message: One sentence: what is wrong, and with which value or file.
        hint: One sentence: what to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the hint when an error crosses a process boundary."""
        return type(self), (self.message, self.hint)


class MmccdWarning(UserWarning):
    """Something that a user should know, and that is dealt with."""


class DataError(MmccdError):
    """A scan, mask or cohort cannot be used as it is."""


class WriteError(DataError):
    """A result cannot be written: a full disk, a folder without permission.

    Args:
        path: What was to be written.
        error: What the system said.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"cannot write {path}: {error.strerror or error}",
            "make space, or choose a folder that is writable; what was there before is unharmed",
        )
        self.path, self.error = path, error

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep path and reason when an error crosses a process boundary."""
        return type(self), (self.path, self.error)


class LockError(DataError):
    """A disk on which a folder cannot be locked.

    Args:
        folder: Whose lock it is.
        error: What the system said.
    """

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"cannot lock {folder}, by which processes keep out of each other's way: {error.strerror or error}",
            "give the same command again; if that does not help, choose a folder on another disk",
        )
        self.folder, self.error = folder, error

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep folder and reason when an error crosses a process boundary."""
        return type(self), (self.folder, self.error)


class ClaimLost(MmccdError):  # noqa: N818  # nothing is wrong with the work, which another process has taken over
    """Another process has taken over what this one was working on."""


class GridError(DataError):
    """Two images that must share one voxel grid do not."""


class ConfigError(MmccdError):
    """A setting has a value that cannot work."""


class ModelError(MmccdError):
    """A model file cannot be read, or does not fit the request."""
