"""The prepared store: normalised 2D slices in memory-mapped arrays, with an index and a manifest."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmccd.errors import ConfigError, DataError
from mmccd.system.files import sha256_of_file, sha256_of_json

FORMAT = 1
MANIFEST = "manifest.json"
INDEX = "index.csv"
REQUIRED = {"key", "protocol", "size_px", "pixel_mm", "modalities", "intensity", "subjects", "failures", "split_digest",
            "arrays", "index_sha256"}  # fmt: skip


@dataclass(frozen=True)
class Store:
    """A folder written by `mmccd prepare`.

    Attributes:
        path: The folder.
        manifest: Protocol, grid, modalities, subjects, digests: see docs/store.md.
    """

    path: Path
    manifest: dict[str, Any]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, each an array of (slices, size_px, size_px)."""
        return tuple(self.manifest["modalities"])

    @property
    def size_px(self) -> int:
        """Side of the slices in pixels."""
        return int(self.manifest["size_px"])

    @property
    def digest(self) -> str:
        """Digest of all arrays and of the index: two stores with equal digests train equal models."""
        return sha256_of_json({"arrays": self.manifest["arrays"], "index": self.manifest["index_sha256"]})

    @cached_property
    def index(self) -> pd.DataFrame:
        """One row per slice: subject, split, slice, healthy, brain_px, lesion_px, spacing in mm."""
        try:
            return read_index(self.path / INDEX)
        except (OSError, ValueError) as error:
            raise DataError(f"{INDEX} of the store cannot be read: {error}", "prepare the store again") from error

    def array(self, name: str) -> NDArray[Any]:
        """Memory-mapped (slices, size_px, size_px): a modality (float16), ``brain`` or ``lesion`` (bool)."""
        if name not in self.manifest["arrays"]:
            raise ConfigError(
                f"the store has no {name!r}, it has {', '.join(sorted(self.manifest['arrays']))}",
                "choose one of these modalities, or prepare the store again with the one you need",
            )
        path = self.path / f"{name}.npy"
        try:
            mapped: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")  # never an archive or a pickle
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path.name} of the store cannot be read: {error}", "prepare the store again") from error
        expected = (len(self.index), self.size_px, self.size_px)
        if mapped.shape != expected or mapped.dtype not in (np.float16, np.bool_):
            raise DataError(
                f"{path.name} of the store holds {mapped.dtype} {mapped.shape}, expected {expected}",
                "prepare the store again",
            )
        return mapped

    def rows(self, split: str, *, healthy: bool | None = None) -> NDArray[np.int64]:
        """Row numbers of one split, all or only those whose slice is (or is not) free of lesions."""
        chosen = self.index["split"] == split
        if healthy is not None:
            chosen &= self.index["healthy"] == healthy
        return np.asarray(np.flatnonzero(chosen), dtype=np.int64)

    def scans_sha256(self, splits: Sequence[str], modality: str) -> list[str]:
        """Digests of the voxels of a modality's scans, sorted; older stores have none."""
        kept = self.manifest.get("scans_sha256", {})
        subjects = [subject for split in splits for subject in self.manifest["subjects"][split]]
        return sorted(kept[subject][modality] for subject in subjects if modality in kept.get(subject, {}))

    def verify(self) -> None:
        """Read every array and the index, and compare them with their digests.

        Raises:
            DataError: one of them is missing, or was changed after it was prepared.
        """
        digests = {f"{name}.npy": entry["sha256"] for name, entry in self.manifest["arrays"].items()}
        for name, digest in {**digests, INDEX: self.manifest["index_sha256"]}.items():
            path = self.path / name
            if not path.is_file() or sha256_of_file(path) != digest:
                raise DataError(f"{name} of the store is missing or differs from its digest", "prepare the store again")


def read_index(path: Path) -> pd.DataFrame:
    """Read an index; a subject may be called NA."""
    return pd.read_csv(path, dtype={"subject": str}, keep_default_na=False)


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
    except ValueError as error:
        raise DataError(f"{MANIFEST} in {path} is damaged: {error}", "prepare the store again") from error
    if not isinstance(content, dict):
        raise DataError(f"{MANIFEST} in {path} is damaged: it is no table", "prepare the store again")
    if content.get("format") != FORMAT:
        raise DataError(
            f"{path} has store format {content.get('format')}, expected {FORMAT}", "prepare the store again"
        )
    missing = REQUIRED - content.keys()
    if missing:
        raise DataError(f"{MANIFEST} in {path} lacks {', '.join(sorted(missing))}", "prepare the store again")
    return Store(path, content)
