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


class GridError(DataError):
    """Two images that must share one voxel grid do not."""


class ConfigError(MmccdError):
    """A setting has a value that cannot work."""


class ModelError(MmccdError):
    """A model file cannot be read, or does not fit the request."""
