"""Parts of a long piece of work, kept in files, so that a killed one goes on where it was."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmccd.system.files import sha256_of_json, write_atomically

Array = NDArray[Any]


class KeptArrays:
    """Arrays by name, in a folder that belongs to one piece of work.

    Args:
        folder: Created where needed; `clear` removes it.
        what: All that decides the arrays, JSON-able: those of other work are made anew.
    """

    def __init__(self, folder: Path, what: Any) -> None:
        self.folder, self._own = folder, folder / sha256_of_json(what)[:16]

    def get(self, name: str, make: Callable[[], Array]) -> Array:
        """The array that was kept under this name, or a new one, which is kept.

        Raises:
            WriteError: it cannot be written.
        """
        path = self._own / f"{name}.npy"
        if path.is_file():
            with suppress(OSError, ValueError, EOFError), path.open("rb") as stream:  # what is torn is made again
                kept: Array = np.lib.format.read_array(stream, allow_pickle=False)
                return kept
        array, content = make(), BytesIO()
        np.save(content, array)
        write_atomically(path, content.getbuffer())
        return array

    def clear(self) -> None:
        """Remove all of them: the work is done."""
        shutil.rmtree(self.folder, ignore_errors=True)
