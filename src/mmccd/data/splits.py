"""Which subjects train, which choose the threshold, and which are only ever tested on."""

import hashlib
import math
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmccd.data.cohort import Cohort
from mmccd.data.own_folders import INDEX
from mmccd.data.parts import PARTS, part_name
from mmccd.data.tables import read_table
from mmccd.errors import ConfigError, DataError, MmccdWarning
from mmccd.system.files import sha256_of_json
from mmccd.system.plain_text import of_cell

PART_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Subject ids of the three parts, each sorted; no subject is in two of them.

    Raises:
        DataError: a subject is in two parts.
    """

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in PART_NAMES:
            object.__setattr__(self, part, tuple(sorted(set(getattr(self, part)))))
        for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
            shared = sorted(set(getattr(self, first)) & set(getattr(self, second)))
            if shared:
                raise DataError(
                    f"{_some(shared)} in both {first} and {second} of the split",
                    "a result on subjects that were trained on means nothing: keep each in one part",
                )


def patient_of(subject_id: str) -> str:
    """Person behind a subject id, without BIDS session or BraTS time point (2023 and later).

    Example:
        >>> patient_of("sub-07_ses-02"), patient_of("BraTS-GLI-00005-001"), patient_of("BraTS2021_00005")
        ('sub-07', 'BraTS-GLI-00005', 'BraTS2021_00005')
    """
    bids = re.fullmatch(r"(sub-[^_]+)_ses-[^_]+", subject_id)
    brats = re.fullmatch(r"(BraTS-[A-Za-z]+-\d{5})-\d{3}", subject_id)
    found = bids or brats
    return found[1] if found else subject_id


def patients_in_two_parts(split: Split) -> tuple[str, ...]:
    """Patients whose sessions are in two parts: a leak that the ids alone do not show."""
    train, validation, test = ({patient_of(name) for name in getattr(split, part)} for part in PART_NAMES)
    return tuple(sorted(train & validation | train & test | validation & test))


def read_split_csv(path: Path) -> Split:
    """Read a table with the columns ``subject`` and ``split``; other columns are ignored. A store has one.

    Args:
        path: Of the table, or of a store.

    Raises:
        DataError: the table is malformed, names an unknown part, or puts a subject in two parts.
    """
    path = path / INDEX if (path / INDEX).is_file() else path
    parts: dict[str, list[str]] = {part: [] for part in PART_NAMES}
    for row in read_table(path, ["subject", "split"]):
        part = part_name(row["split"])
        if part is None or not row["subject"]:
            raise DataError(
                f"{path.name} puts subject {row['subject']!r} in the part {row['split']!r}",
                f"give each row a subject and one of {', '.join(PARTS)}",
            )
        parts[part].append(of_cell(row["subject"]))
    return _split(parts)


def read_split_lists(train: Path | None = None, validation: Path | None = None, test: Path | None = None) -> Split:
    """Read text files with one subject id a line; empty lines and those that start with # are skipped.

    Raises:
        ConfigError: no file is given.
        DataError: a file cannot be read or names no subject, or a subject is in two of them.
    """
    given = {"train": train, "validation": validation, "test": test}
    if not any(given.values()):
        raise ConfigError("no split list is given", "give a file for at least one of train, validation and test")
    return _split({part: _read_ids(path) if path else [] for part, path in given.items()})


def seeded_split(ids: Iterable[str], fractions: Sequence[float] = (0.7, 0.1, 0.2), seed: int = 0) -> Split:
    """Divide subjects at random, all scans of a patient together; the order of ``ids`` does not matter.

    A part whose fraction is above zero gets at least one patient while there are enough of them.

    Args:
        ids: Subject ids, each once.
        fractions: Of the patients, for train, validation and test.
        seed: Another seed gives another split.

    Raises:
        ConfigError: the fractions are not three numbers from 0 that sum to 1.
        DataError: an id is repeated, or there is none.
    """
    _check_fractions(fractions)
    ids = list(ids)
    repeated = sorted(name for name, times in Counter(ids).items() if times > 1)
    if repeated or not ids:
        raise DataError(
            f"cannot split: {_some(repeated)} repeated" if repeated else "cannot split: there is no subject",
            "give each subject once",
        )
    patients = _shuffled({patient_of(name) for name in ids}, seed)
    counts = _counts(len(patients), fractions)
    labels = [part for part, count in zip(PART_NAMES, counts, strict=True) for _ in range(count)]
    part_of = dict(zip(patients, labels, strict=True))
    return _split({part: [name for name in ids if part_of[patient_of(name)] == part] for part in PART_NAMES})


def split_of_cohort(cohort: Cohort) -> Split | None:
    """Split that the cohort itself states (CSV manifest, participants.tsv), or None where it states none."""
    parts = {part: [subject.id for subject in cohort.subjects if subject.split == part] for part in PART_NAMES}
    return _split(parts) if any(parts.values()) else None


def with_validation_from_train(split: Split, fraction: float = 0.1, seed: int = 0) -> Split:
    """Move a fraction of the training patients, at least one, to an empty validation part.

    The published BraTS2021 lists have no validation part; a threshold chosen on test subjects would flatter.

    Raises:
        ConfigError: the fraction is not above 0 and below 1.
        DataError: the split has a validation part already, or fewer than two training patients.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"validation fraction is {fraction}, allowed: above 0 and below 1", "0.1 is usual")
    if split.validation:
        raise DataError(
            f"the split has a validation part of {len(split.validation)} already",
            "use it, or read the lists without it",
        )
    patients = _shuffled({patient_of(name) for name in split.train}, seed)
    if len(patients) < 2:
        raise DataError(
            f"the split has {len(patients)} training patients, at least 2 are needed to spare one",
            "add subjects to the training part",
        )
    moved = set(patients[: min(max(1, round(fraction * len(patients))), len(patients) - 1)])
    validation = [name for name in split.train if patient_of(name) in moved]
    return _split({"train": set(split.train) - set(validation), "validation": validation, "test": split.test})


def find_split(
    cohort: Cohort,
    *,
    table: Path | None = None,
    lists: Mapping[str, Path] | None = None,
    fractions: Sequence[float] = (0.7, 0.1, 0.2),
    seed: int = 0,
) -> tuple[Split, str]:
    """The split to use, and in words where it comes from.

    In order: the table, the lists, what the cohort itself states, a ``split.csv`` in its folder, else a seeded split.
    Without a validation part, a tenth of the training patients becomes one. Subjects of the split that are not in the
    cohort are left out, with a warning.

    Raises:
        ConfigError: a table and lists are both given, or the fractions are no fractions.
        DataError: the split cannot be read, or none of its subjects is in the cohort.
    """
    if table and lists:
        raise ConfigError("a split table and split lists are both given", "give one of them")
    ids = [subject.id for subject in cohort.subjects]
    beside = cohort.root / "split.csv"
    if table:
        split, origin = read_split_csv(table), table.name
    elif lists:
        split, origin = read_split_lists(**lists), ", ".join(path.name for path in lists.values())
    elif (stated := split_of_cohort(cohort)) is not None:
        split, origin = stated, "the cohort's own split column"
    elif beside.is_file():
        split, origin = read_split_csv(beside), "split.csv in the cohort's folder"
    else:
        split, origin = seeded_split(ids, fractions, seed), f"a draw with seed {seed}"
    listed = [*split.train, *split.validation, *split.test]
    split, _ = restrict(split, [*ids, *cohort.problems])
    if not (split.train or split.validation or split.test):
        raise DataError(
            f"no subject of the split ({origin}) is in the cohort", "check that their ids are spelled alike"
        )
    if absent := sorted({*listed}.difference(ids, cohort.problems)):
        warnings.warn(
            f"{len(absent)} of {len(listed)} subjects of the split ({origin}) are not in the cohort: "
            f"{_listed(absent)}; check that their ids are spelled alike",
            MmccdWarning,
            stacklevel=2,
        )
    for patient in patients_in_two_parts(split):
        message = f"patient {patient} has sessions in two parts of the split"
        warnings.warn(message, MmccdWarning, stacklevel=2)
    if split.train and not split.validation:
        split = with_validation_from_train(split, seed=seed)
        origin += ", a tenth of its training patients set aside for validation"
    return split, origin


def restrict(split: Split, ids: Iterable[str]) -> tuple[Split, tuple[str, ...]]:
    """Keep the subjects of ``split`` that are among ``ids``.

    Returns:
        The smaller split, and the ids that are in no part of it (for the caller to mention).
    """
    ids = set(ids)
    kept = {part: ids & set(getattr(split, part)) for part in PART_NAMES}
    return _split(kept), tuple(sorted(ids.difference(*kept.values())))


def digest(split: Split) -> str:
    """SHA-256 (hex) of the ids of the three parts: equal splits, equal digests."""
    return sha256_of_json({part: list(getattr(split, part)) for part in PART_NAMES})


def _split(parts: Mapping[str, Collection[str]]) -> Split:
    return Split(**{part: tuple(ids) for part, ids in parts.items()})


def _shuffled(names: Iterable[str], seed: int) -> list[str]:
    # A hash of the name, not a generator: the same on every machine, whatever order the names come in.
    return sorted(names, key=lambda name: (hashlib.sha256(f"{seed}:{name}".encode()).digest(), name))


def _check_fractions(fractions: Sequence[float]) -> None:
    usable = len(fractions) == 3 and all(fraction >= 0 for fraction in fractions)
    if not usable or not math.isclose(sum(fractions), 1.0, abs_tol=1e-6):
        raise ConfigError(
            f"split fractions are {tuple(fractions)}, allowed: three numbers from 0 that sum to 1",
            "for example 0.7, 0.1 and 0.2 for train, validation and test",
        )


def _counts(total: int, fractions: Sequence[float]) -> list[int]:
    """Whole numbers nearest to the fractions (largest remainder), none zero that need not be."""
    exact = [fraction * total for fraction in fractions]
    counts = [math.floor(value + 1e-9) for value in exact]
    by_remainder = sorted(range(3), key=lambda part: counts[part] - exact[part])
    for part in by_remainder[: total - sum(counts)]:
        counts[part] += 1
    for part in range(3):
        largest = max(range(3), key=lambda other: counts[other])
        if fractions[part] > 0 and counts[part] == 0 and counts[largest] > 1:
            counts[part], counts[largest] = 1, counts[largest] - 1
    return counts


def _read_ids(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of subjects: {error}", "write one id a line") from error
    ids = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not ids:
        raise DataError(f"{path} names no subject", "write one id a line")
    return ids


def _some(names: Sequence[str]) -> str:
    return f"subject {names[0]} is" if len(names) == 1 else f"subjects {_listed(names)} are"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
