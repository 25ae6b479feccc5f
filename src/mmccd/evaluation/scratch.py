"""What of each case waits on disk until all are measured, so that memory holds one case, however many there are."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmccd.errors import DataError
from mmccd.evaluation.oracle import DiceCurve
from mmccd.evaluation.paper_protocol import LesionSlice


@dataclass(frozen=True)
class Scratch:
    """A folder with a file for each case, a hundredth of the scan in size."""

    folder: Path

    def keep(self, case: str, curves: Mapping[str, DiceCurve], slices: Mapping[str, LesionSlice]) -> None:
        """Write what is known of a case, by method.

        Raises:
            DataError: it cannot be written.
        """
        arrays: dict[str, Any] = {"methods": np.array(list(curves))}
        for number, (method, curve) in enumerate(curves.items()):
            arrays |= {f"first_{number}": curve.first, f"dice_{number}": curve.dice}
            if method in slices:
                piece = slices[method]
                arrays |= {"z": piece.z, "brain": piece.brain, "lesion": piece.lesion, f"score_{number}": piece.score}
        try:
            np.savez_compressed(self._path(case), **arrays)
        except OSError as error:
            raise DataError(
                f"cannot write to {self.folder}: {error.strerror or error}",
                "set the environment variable TMPDIR to a folder that is writable and has space left",
            ) from error

    def curve(self, case: str, method: str) -> DiceCurve:
        """Of a case that this method scored."""
        with self._open(case) as arrays:
            number = _number(arrays, method)
            return DiceCurve(int(arrays[f"first_{number}"]), arrays[f"dice_{number}"])

    def slices(self, cases: Sequence[str], method: str) -> "SlicesOnDisk":
        """Of those of the cases that have a lesion; this method scored all of them."""
        return SlicesOnDisk(self, cases, method)

    def slice_of(self, case: str, method: str) -> LesionSlice | None:
        """Of a case that this method scored; None where it has no lesion."""
        with self._open(case) as arrays:
            number = _number(arrays, method)
            if f"score_{number}" not in arrays:
                return None
            score, brain, lesion = (arrays[name] for name in (f"score_{number}", "brain", "lesion"))
            return LesionSlice(case, int(arrays["z"]), score, brain, lesion)

    def _open(self, case: str) -> Any:
        return np.load(self._path(case), allow_pickle=False)

    def _path(self, case: str) -> Path:
        # Names of cases may be as long as a name of a file can be.
        return self.folder / f"{hashlib.sha256(case.encode(errors='surrogateescape')).hexdigest()}.npz"


@dataclass(frozen=True)
class SlicesOnDisk:
    """Slices of many cases, read anew each time that they are gone through."""

    scratch: Scratch
    cases: Sequence[str]
    method: str

    def __iter__(self) -> Iterator[LesionSlice]:
        return filter(None, (self.scratch.slice_of(case, self.method) for case in self.cases))


def _number(arrays: Mapping[str, NDArray[Any]], method: str) -> int:
    return int(np.flatnonzero(arrays["methods"] == method)[0])
