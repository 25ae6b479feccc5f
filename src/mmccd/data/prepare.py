"""From a cohort of NIfTI scans to a store of normalised slices: parallel, resumable, out of core."""

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmccd.data.cohort import Cohort, Subject, all_healthy
from mmccd.data.grid import OLD_PROTOCOLS
from mmccd.data.layouts.names import LESION
from mmccd.data.own_folders import INDEX, MANIFEST
from mmccd.data.problems import Problem
from mmccd.data.slices import StoreSettings, slices_of
from mmccd.data.splits import PART_NAMES, Split, digest
from mmccd.data.store import FORMAT, Manifest, Store, StoredArray, open_store, read_index, write_index
from mmccd.data.subject import Ready, as_it_is, load_case
from mmccd.errors import ConfigError, DataError, MmccdError, WriteError
from mmccd.method.intensity import INTENSITY_MAP
from mmccd.system.cluster import LOST, each_on, parse_cluster
from mmccd.system.files import (
    CHANGED,
    partial_names,
    read_record,
    sha256_of_file,
    sha256_of_json,
    sole_staging,
    whole_or_absent,
    write_json,
)
from mmccd.system.locks import sole_use
from mmccd.system.progress import Doing, ProgressCallback, no_progress
from mmccd.system.provenance import provenance
from mmccd.system.workers import MEMORY, each_apart

PARTS = "parts"
PART = "part.json"
_MAY_PASS = {errno.EAGAIN, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT}

_Todo = tuple[Subject, str]
"""A subject, with the key of what its part is made of."""


class _MayPassError(Exception):
    """Too little memory, or a disk that is away for a while: another time the same subject may go well."""


def prepare(
    cohort: Cohort,
    split: Split,
    output: Path,
    settings: StoreSettings,
    *,
    ready: Ready = as_it_is,
    workers: int | None = None,
    cluster: str | None = None,
    told: Callable[[str], None] = lambda _: None,
    progress: ProgressCallback = no_progress,
) -> tuple[Store, dict[str, str]]:
    """Write the slices of all subjects of ``split`` into ``output``; finished subjects of a killed run are kept.

    Args:
        cohort: The subjects.
        split: Which of them, and in which part.
        output: Folder of the store.
        settings: Modalities, size and protocol.
        ready: Makes a subject ready before it is read, in the worker: see `mmccd.raw.ready`.
        workers: Processes; None takes two.
        cluster: Where to read the scans instead of on this machine, see `mmccd.system.cluster.parse_cluster`. The
            cohort must have been read from an absolute path.
        told: Called with who is at work.
        progress: Called with a description, the number done, and the total.

    Returns:
        The store, and the subjects that could not be used with the reason.

    Raises:
        DataError: no subject could be used, a worker died, the disk is full, or subjects failed for want of memory or
            by a disk that may be back later: these are tried again by the same call, the others are kept.
        ConfigError: ``output`` holds a store made from other data or with other settings, or what is no store, or
            another process works there; or the cluster is none, or cannot be had.
    """
    elsewhere = parse_cluster(cluster, workers)
    parts_of = {"train": split.train, "validation": split.validation, "test": split.test}
    wanted = {subject: part for part, subjects in parts_of.items() for subject in subjects}
    subjects = [subject for subject in cohort.subjects if subject.id in wanted]
    failures = {subject: str(problem) for subject, problem in cohort.problems.items() if subject in wanted}
    healthy_cohort = all_healthy(subjects)
    keys = {subject.id: _part_key(subject, settings, healthy_cohort) for subject in subjects}
    run_key = sha256_of_json({"parts": keys, "split": digest(split)})
    facts: dict[str, Any] = {"key": run_key, "layout": cohort.layout, "split_digest": digest(split)}
    _check_is_ours(output)
    parts = output.absolute() / PARTS
    if parts.exists() or not (output / MANIFEST).exists():
        with sole_use(output) as claim:
            if not (output / MANIFEST).exists():
                preparer = _PartPreparer(parts, settings, healthy_cohort, ready)
                todo = [(one, keys[one.id]) for one in subjects if not _part_is_done(parts / one.id, keys[one.id])]
                with (
                    each_apart(preparer, todo, workers or 2)
                    if elsewhere is None
                    else each_on(elsewhere, preparer, todo, lost=_lost, told=told)
                ) as answers:
                    failed = _problems(answers, len(subjects), len(todo), parts, progress)
                failures |= {problem.subject: str(problem) for problem in failed}
                usable = [subject.id for subject in subjects if subject.id not in failures]
                _assemble(parts, usable, wanted, failures, output, settings, progress)
                scans = {id_: (read_record(parts / id_ / PART) or {}).get("scans_sha256", {}) for id_ in usable}
                facts["scans_sha256"] = scans
                claim.check()
                _write_manifest(output, settings, facts, usable, wanted, failures)
            shutil.rmtree(parts, ignore_errors=True)
    store = open_store(output)
    if store.manifest.key != run_key:
        raise ConfigError(
            f"{output} holds a store made from other scans, another split or other settings",
            "choose another folder, or delete this one",
        )
    return store, dict(store.manifest.failures)


def _check_is_ours(output: Path) -> None:
    """Refuse a folder that is neither new, nor empty, nor a store or the beginning of one; nothing is changed in it."""
    if not output.is_dir():  # new, or a file that nothing can be written into
        return
    if (output / MANIFEST).exists():
        ours = (read_record(output / MANIFEST) or {}).keys() >= {"format", "key", "split_digest"}
    else:
        visible = [path for folder in (output, output / PARTS) if folder.is_dir() for path in _visible(folder)]
        ours = set(visible) <= {output / PARTS} or any((output / PARTS).glob(f"*/{PART}"))
    if not ours:
        raise ConfigError(
            f"{output} holds files that are not a store's, must be new, empty or a store",
            "choose another folder for the store",
        )


def _visible(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise WriteError(folder, error) from error


def _part_key(subject: Subject, settings: StoreSettings, healthy_cohort: bool) -> str:
    """Changes when a file of the subject or a setting changes; needs no reading of the scans."""
    files = {}
    for name, image in (*subject.images.items(), ("brain", subject.brain), ("lesion", subject.lesion)):
        if image is not None and image.path.exists():
            status = image.path.stat()
            files[name] = [image.path.name, image.channel, status.st_size, status.st_mtime_ns]
    first = {new: old for old, new in OLD_PROTOCOLS.items()}  # so that stores of earlier versions keep their keys
    made_by = asdict(settings) | {"protocol": first.get(settings.protocol, settings.protocol)}
    return sha256_of_json([FORMAT, made_by, healthy_cohort, files])


def _problems(
    answers: Iterator[tuple[_Todo, Problem | str]], total: int, todo: int, parts: Path, progress: ProgressCallback
) -> list[Problem]:
    """What was wrong with those subjects that cannot be used, once all are prepared."""
    done = total - todo
    to_try_again: dict[str, str] = {}
    problems: list[Problem] = []
    progress("preparing", done, total)
    try:
        for (subject, _), answer in answers:
            done += 1
            progress(Doing("preparing", case=subject.id), done, total)
            if isinstance(answer, Problem):
                problems.append(answer)
            elif answer:
                to_try_again[subject.id] = answer
    except BrokenProcessPool as error:
        raise DataError(
            f"a worker died; in work were {', '.join(partial_names(parts)) or 'no subjects'}",
            f"{MEMORY} goes on where this one stopped",
        ) from error
    if to_try_again:  # no store without them: it would be one for ever
        reasons = "; ".join(f"{id_}: {reason}" for id_, reason in list(to_try_again.items())[:3])
        raise DataError(
            f"{len(to_try_again)} of {total} subjects failed by memory or disk, which may pass ({reasons})",
            "the same command tries only them again, best with --workers 1; or leave them out with --split",
        )
    return problems


def _part_is_done(part: Path, key: str) -> bool:
    stamp = part / PART
    return (read_record(stamp) or {}).get("key") == key


def _lost(_: _Todo) -> str:
    """Whether it is the subject or the memory that day, nobody knows."""
    return LOST[0]


@dataclass(frozen=True)
class _PartPreparer:
    """Writes one folder per subject, in whichever process."""

    parts: Path
    settings: StoreSettings
    healthy_cohort: bool
    ready: Ready

    def __call__(self, todo: _Todo) -> Problem | str:
        """What is wrong with a subject, or, as text, what may pass; empty where nothing is.

        Raises:
            WriteError: a disk that is full for a while would else cost the store subjects.
        """
        subject, key = todo
        try:
            _prepare_part(subject, key, self.settings, self.healthy_cohort, self.ready, self.parts)
        except _MayPassError as error:
            return str(error)
        except WriteError:
            raise
        except (MmccdError, OSError, MemoryError) as error:
            return Problem.of(subject.id, error)
        return ""


def _prepare_part(
    subject: Subject, key: str, settings: StoreSettings, healthy_cohort: bool, ready: Ready, parts: Path
) -> None:
    subject.check_usable(LESION)
    if subject.lesion is None and not healthy_cohort:
        raise DataError(
            f"{subject.id} has no lesion mask while others have one, so its slices cannot be called healthy",
            "add its mask, or prepare healthy subjects as a cohort of their own",
        )
    with sole_staging(parts, subject.id) as stage:  # from the beginning: if this process dies, it says at what
        table, arrays, scans = _read_slices(subject, settings, ready)
        if _part_key(subject, settings, healthy_cohort) != key:
            raise DataError(f"a file of {subject.id} changed while the store was made", CHANGED)
        try:
            for name, array in arrays.items():
                np.save(stage / f"{name}.npy", array)
            write_index(stage / INDEX, table)
            write_json(stage / PART, {"key": key, "scans_sha256": scans})
            shutil.rmtree(parts / subject.id, ignore_errors=True)
            stage.rename(parts / subject.id)
        except OSError as error:
            raise WriteError(parts / subject.id, error) from error


def _read_slices(
    subject: Subject, settings: StoreSettings, ready: Ready
) -> tuple[pd.DataFrame, dict[str, NDArray[Any]], dict[str, str]]:
    """What `slices_of` returns, and of each modality the digest of its voxels."""
    try:
        case = load_case(ready(subject), settings.modalities)
        return *slices_of(case, settings), {name: image.voxels_sha256 for name, image in case.images.items()}
    except (MmccdError, OSError, MemoryError) as error:
        cause = error.__cause__ if isinstance(error, MmccdError) else error
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno in _MAY_PASS):
            raise _MayPassError(str(error) or type(error).__name__) from error
        raise


def _assemble(
    parts: Path,
    subjects: Sequence[str],
    part_of: dict[str, str],
    failures: Mapping[str, str],
    output: Path,
    settings: StoreSettings,
    progress: ProgressCallback,
) -> None:
    """Join the parts, one subject in memory at a time."""
    if not subjects:
        reasons = "; ".join(f"{id_}: {reason}" for id_, reason in list(failures.items())[:3])
        raise DataError(f"none of {len(part_of)} subjects could be prepared ({reasons})", "run `mmccd validate DATA`")
    tables = [read_index(parts / id_ / INDEX) for id_ in subjects]
    index = pd.concat(tables, ignore_index=True)
    index.insert(1, "split", index["subject"].map(part_of))
    shape = (len(index), settings.size_px, settings.size_px)
    names = settings.arrays
    for done, (name, dtype) in enumerate(names, start=1):
        with whole_or_absent(output / f"{name}.npy") as stream:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for id_ in subjects:
                stream.write(np.ascontiguousarray(np.load(parts / id_ / f"{name}.npy")).tobytes())
        progress("joining", done, len(names))
    write_index(output / INDEX, index)


def _write_manifest(
    output: Path,
    settings: StoreSettings,
    facts: Mapping[str, Any],
    subjects: Sequence[str],
    part_of: Mapping[str, str],
    failures: Mapping[str, str],
) -> None:
    """Last: a folder with a manifest is a whole store."""
    manifest = Manifest(
        format=FORMAT,
        **facts,
        **asdict(settings),
        pixel_mm=settings.pixel_mm,
        intensity=INTENSITY_MAP,
        subjects={part: [id_ for id_ in subjects if part_of[id_] == part] for part in PART_NAMES},
        failures=dict(failures),
        arrays={
            name: StoredArray(sha256=sha256_of_file(output / f"{name}.npy"), dtype=str(dtype))
            for name, dtype in settings.arrays
        },
        index_sha256=sha256_of_file(output / INDEX),
        provenance=provenance(),
    )
    write_json(output / MANIFEST, manifest.as_json())
