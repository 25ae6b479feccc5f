"""The prepared store: normalised 2D slices in memory-mapped arrays, with an index and a manifest."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from mmccd.data.grid import ModelGrid, Protocol, protocol_named
from mmccd.data.own_folders import INDEX, MANIFEST
from mmccd.errors import ConfigError, DataError
from mmccd.system.documents import Document
from mmccd.system.files import sha256_of_file, sha256_of_json, write_atomically
from mmccd.system.plain_text import as_cell, of_cell

FORMAT = 1
_AGAIN = "prepare the store again"


class StoredArray(Document):
    """One array of a store, by its digest."""

    sha256: str
    dtype: str = ""


class Manifest(Document):
    """`manifest.json` of a store: see docs/reference/store.md."""

    format: int
    key: str
    layout: str = ""
    protocol: Annotated[Protocol, BeforeValidator(protocol_named)]
    size_px: int
    pixel_mm: float
    modalities: tuple[str, ...]
    intensity: dict[str, Any]
    subjects: dict[str, list[str]]
    failures: dict[str, str]
    split_digest: str
    arrays: dict[str, StoredArray]
    index_sha256: str
    scans_sha256: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Of the voxels, by subject and modality; older stores have none."""
    provenance: dict[str, Any] = Field(default_factory=dict)

    @property
    def grid(self) -> ModelGrid:
        """Of its slices."""
        return ModelGrid(self.protocol, self.size_px, self.pixel_mm)


@dataclass(frozen=True)
class Store:
    """A folder written by `mmccd prepare`.

    Attributes:
        path: The folder.
        manifest: Grid, modalities, subjects, digests.
    """

    path: Path
    manifest: Manifest

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, each an array of (slices, size_px, size_px)."""
        return self.manifest.modalities

    @property
    def grid(self) -> ModelGrid:
        """Of the slices."""
        return self.manifest.grid

    @property
    def size_px(self) -> int:
        """Side of the slices in pixels."""
        return self.manifest.size_px

    @property
    def digest(self) -> str:
        """Digest of all arrays and of the index: two stores with equal digests train equal models."""
        arrays = {name: array.as_json() for name, array in self.manifest.arrays.items()}
        return sha256_of_json({"arrays": arrays, "index": self.manifest.index_sha256})

    @cached_property
    def index(self) -> pd.DataFrame:
        """One row per slice: subject, split, slice, healthy, brain_px, lesion_px, spacing in mm."""
        try:
            return read_index(self.path / INDEX)
        except (OSError, ValueError) as error:
            raise DataError(f"{INDEX} of the store cannot be read: {error}", _AGAIN) from error

    def array(self, name: str) -> NDArray[Any]:
        """Memory-mapped (slices, size_px, size_px): a modality (float16), ``brain`` or ``lesion`` (bool)."""
        if name not in self.manifest.arrays:
            raise ConfigError(
                f"the store has no {name!r}, it has {', '.join(sorted(self.manifest.arrays))}",
                "choose one of these modalities, or prepare the store again with the one you need",
            )
        path = self.path / f"{name}.npy"
        try:
            mapped: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")  # never an archive or a pickle
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path.name} of the store cannot be read: {error}", _AGAIN) from error
        expected = (len(self.index), self.size_px, self.size_px)
        if mapped.shape != expected or mapped.dtype not in (np.float16, np.bool_):
            raise DataError(
                f"{path.name} of the store holds {mapped.dtype} {mapped.shape}, expected {expected}",
                _AGAIN,
            )
        return mapped

    def slices(self, modality: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of a modality, (rows, size_px, size_px), as networks take it."""
        return self.array(modality)[rows].astype(np.float32)

    def rows(self, split: str, *, healthy: bool | None = None) -> NDArray[np.int64]:
        """Row numbers of one split, all or only those whose slice is (or is not) free of lesions."""
        chosen = self.index["split"] == split
        if healthy is not None:
            chosen &= self.index["healthy"] == healthy
        return np.asarray(np.flatnonzero(chosen), dtype=np.int64)

    def scans_sha256(self, splits: Sequence[str], modality: str) -> list[str]:
        """Digests of the voxels of a modality's scans, sorted; older stores have none."""
        kept = self.manifest.scans_sha256
        subjects = [subject for split in splits for subject in self.manifest.subjects[split]]
        return sorted(kept[subject][modality] for subject in subjects if modality in kept.get(subject, {}))

    def verify(self) -> None:
        """Read every array and the index, and compare them with their digests.

        Raises:
            DataError: one of them is missing, or was changed after it was prepared.
        """
        digests = {f"{name}.npy": array.sha256 for name, array in self.manifest.arrays.items()}
        for name, digest in {**digests, INDEX: self.manifest.index_sha256}.items():
            path = self.path / name
            if not path.is_file() or sha256_of_file(path) != digest:
                raise DataError(f"{name} of the store is missing or differs from its digest", _AGAIN)


def read_index(path: Path) -> pd.DataFrame:
    """Read an index; a subject may be called NA."""
    index = pd.read_csv(path, dtype={"subject": str}, keep_default_na=False)
    return index.assign(subject=index["subject"].map(of_cell)) if "subject" in index else index


def write_index(path: Path, index: pd.DataFrame) -> None:
    """Write an index as `read_index` reads it, atomically.

    Raises:
        WriteError: it cannot be written.
    """
    safe = index.assign(subject=index["subject"].map(as_cell))
    write_atomically(path, safe.to_csv(index=False).encode())


def open_store(path: Path) -> Store:
    """Open a prepared store.

    Raises:
        DataError: there is no complete store in this folder.
    """
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise DataError(f"{path} is not a prepared store: it has no {MANIFEST}", "run `mmccd prepare DATA STORE`")
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{MANIFEST} in {path} is damaged: {error}", _AGAIN) from error
    if isinstance(content, dict) and content.get("format") != FORMAT:
        raise DataError(f"{path} has store format {content.get('format')}, expected {FORMAT}", _AGAIN)
    return Store(path, Manifest.parse(content, f"{MANIFEST} in {path}", remedy=_AGAIN, error=DataError))
