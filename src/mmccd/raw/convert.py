"""From a DICOM series to a volume in NIfTI, by dcm2niix; and from a folder of series to a cohort."""

import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from mmccd.data.cohort import MODALITIES, Cohort, Image, Subject, read_cohort
from mmccd.data.layouts.entities import Selection
from mmccd.data.layouts.names import modality_named
from mmccd.data.problems import Problem
from mmccd.data.volumes import read_volume, write_volume
from mmccd.errors import ConfigError, DataError, MmccdWarning
from mmccd.raw.cache import kept
from mmccd.raw.export import dicom_files, kinds_in
from mmccd.raw.series import Series, series_in
from mmccd.raw.studies import names_of, studies_of
from mmccd.system.extra import needed
from mmccd.system.files import CHANGED

LAYOUT = "dicom"
LONGEST_S = 600
WHOLE = "give the folder of an MR series, with all of its slices"
ASK = "choose with --series NUMBER, or NUMBER=MODALITY where its modality is told wrongly"


def dicom_cohort(
    root: Path, wanted: Sequence[str] | None = None, chosen: Mapping[int, str | None] | None = None
) -> tuple[Cohort, tuple[str, ...]]:
    """The subjects of DICOM files, converted where that has not been done before; a study is a subject.

    Args:
        root: A folder with any number of series, mixed or in folders of their own, or a single file.
        wanted: Modalities that are asked for; None takes every one that there is.
        chosen: Numbers of the series to use, each with the modality that it is, None where its header says; without
            any, all.

    Returns:
        The cohort, and one line for each series: what it is and how that was told, or why it is not used. No name,
        date or number of a patient is in any of them; a subject is called after the folder that it lies in.

    Raises:
        DataError: no series can be used, which says why not; or one that is chosen is not there.
        ConfigError: what reads DICOM is not installed.
    """
    files, closed = dicom_files(root)
    found, damaged = series_in(files)
    broken = [*closed, *damaged]
    lines = [f"files or folders that cannot be read: {len(broken)}"] if broken else []
    _check_chosen(chosen or {}, found)
    studies = studies_of(found)
    names = names_of(root, studies)
    spoilt = {path.parent for path in broken}
    subjects: list[Subject] = []
    problems: dict[str, Problem] = {}
    useless: dict[str, Problem] = {}
    for name, of_study in zip(names, studies, strict=True):
        if isinstance(name, Problem):
            problems[name.subject] = name
            continue
        roles, refused = _roles(of_study, wanted, chosen or {}, spoilt)
        lines += [
            f"{name}: {series.name} is {role}, {series.modality[1]}" for role, some in roles.items() for series in some
        ]
        lines += [f"{name}: {one.name}: {doubt}" for some in roles.values() for one in some for doubt in one.doubts]
        lines += [f"{name}: {reason}" for reason in refused]
        single = {role: some[0] for role, some in roles.items() if len(some) == 1}
        unclear = {role: _unclear(name, role, some) for role, some in roles.items() if len(some) > 1}
        if not single:
            problems |= {problem.subject: problem for problem in unclear.values()}
            if not unclear:
                hint = WHOLE if all(one.trouble for one in of_study) else ASK
                useless[name] = Problem(name, "; ".join(refused) or "none of its series is asked for", hint)
            continue
        try:
            images = {role: Image(converted(one), dicom=one.files) for role, one in single.items()}
        except DataError as error:
            problems[name] = Problem.of(name, error)
            continue
        usual = {role: images[role] for role in MODALITIES if role in images}
        subjects.append(Subject(name, usual | images, unusable=unclear))
    if not subjects and not problems:
        why = "; ".join(problem.what for problem in useless.values()) or "no file of it can be read as an image"
        hint = ASK if any(problem.hint == ASK for problem in useless.values()) else WHOLE
        raise DataError(f"{root.name} holds no MR scan that can be used: {why}", hint)
    subjects.sort(key=lambda subject: subject.id)
    return Cohort(root, LAYOUT, tuple(subjects), dict(sorted((problems | useless).items()))), tuple(lines)


def _check_chosen(chosen: Mapping[int, str | None], series: Sequence[Series]) -> None:
    there = sorted({one.first.number for one in series if one.first.number is not None})
    if absent := [str(number) for number in chosen if number not in there]:
        what = (
            f"there is no series {' and '.join(absent)}, only {', '.join(map(str, there)) or 'such without a number'}"
        )
        raise DataError(what, "choose among these with --series")


def _unclear(subject: str, role: str, series: Sequence[Series]) -> Problem:
    what = f"{len(series)} series are {role}: {' and '.join(one.name for one in series)}"
    return Problem(subject, what, ASK)


def any_cohort(
    root: Path,
    layout: str = "auto",
    select: Selection | None = None,
    *,
    wanted: Sequence[str] | None = None,
    series: Mapping[int, str | None] | None = None,
    told: Callable[[str], None] | None = None,
) -> Cohort:
    """A cohort of any kind: `dicom_cohort` where the files are DICOM, else `mmccd.data.cohort.read_cohort`.

    Where both kinds lie in one folder, DICOM has to be asked for; that is said in a warning.

    Raises:
        DataError: as these do; or series are chosen where there are none.
    """
    kinds = kinds_in(root) if layout == "auto" else None
    if kinds and kinds.dicom and kinds.others:
        warnings.warn(
            f"{root.name} holds DICOM files and scans in other formats: only the latter are read; for the former add "
            f"--layout {LAYOUT}, or give them a folder of their own",
            MmccdWarning,
            stacklevel=2,
        )
    if layout == LAYOUT or (kinds and kinds.dicom and not kinds.others):
        cohort, lines = dicom_cohort(root, wanted, series)
        if told is not None:
            for line in lines:
                told(line)
        return cohort
    if series:
        raise DataError(f"{root.name} holds no DICOM files to choose series of", "leave --series out")
    return read_cohort(root, layout, select)


def converted(series: Series) -> Path:
    """The volume of a series as NIfTI, kept in the cache; its header holds no text.

    Raises:
        DataError: dcm2niix cannot convert it to one volume.
    """
    stamps = _stamps(series)
    tool = needed("dcm2niix", "a DICOM scan")

    def make(place: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            into, out = Path(scratch) / "in", Path(scratch) / "out"
            into.mkdir()
            out.mkdir()
            for number, path in enumerate(series.files):
                shutil.copyfile(path, into / f"{number:05d}.dcm")
            if _stamps(series) != stamps:
                raise DataError(f"{series.name} changed while it was read", CHANGED)
            # -m y: one volume, whatever the scanner split; -i n: what is derived was refused or chosen before.
            command = [tool.bin, "-b", "n", "-z", "n", "-m", "y", "-i", "n", "-f", "scan", "-o", str(out), str(into)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
            except subprocess.TimeoutExpired as error:
                what = f"{series.name} was not converted within {LONGEST_S} s"
                raise DataError(what, "convert it by hand, and give the NIfTI file") from error
            made = sorted(out.glob("*.nii"))
            if len(made) != 1:
                last = (done.stdout.strip().splitlines() or ["nothing"])[-1].replace(str(into), "the series")
                raise DataError(
                    f"{series.name} became {len(made)} volumes, expected 1; dcm2niix says: {last[:200]}",
                    "convert it by hand, and give the NIfTI file",
                )
            volume = read_volume(made[0])
            write_volume(place, volume.data, volume)

    return kept("dicom", [getattr(tool, "__version__", ""), stamps], ".nii.gz", make)


def _stamps(series: Series) -> list[list[str | int]]:
    return [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in series.files]


def chosen_series(texts: Sequence[str]) -> dict[int, str | None]:
    """From ``7`` and ``7=flair``, as they are given on the command line, to the numbers and what they are.

    Raises:
        ConfigError: one is neither.
    """
    found: dict[int, str | None] = {}
    for text in texts:
        number, _, modality = text.partition("=")
        if not number.strip().isdecimal():
            raise ConfigError(f"--series {text!r} is no number of a series", "for example --series 7, or 7=flair")
        found[int(number)] = modality_named(modality) if modality.strip() else None
    return found


def _roles(
    series: Sequence[Series], wanted: Sequence[str] | None, chosen: Mapping[int, str | None], spoilt: Collection[Path]
) -> tuple[dict[str, list[Series]], list[str]]:
    """What may be used, by modality, and why the rest is not; ``spoilt`` are folders with files that are lost."""
    roles: dict[str, list[Series]] = {}
    refused = []
    for one in series:
        number = one.first.number
        if chosen and number not in chosen:
            continue
        told, how = one.modality
        role = (chosen.get(number) if number is not None else None) or told
        if one.trouble:
            refused.append(f"{one.name}: {one.trouble}")
        elif any(path.parent in spoilt for path in one.files):
            refused.append(f"{one.name}: files beside its slices cannot be read, so some of it may be missing")
        elif role is None:
            refused.append(f"{one.name}: which modality it is cannot be told, {how}")
        elif wanted is None and role not in MODALITIES and not chosen:
            refused.append(f"{one.name}: it is {role}, {how}")
        elif wanted is not None and role not in wanted:
            refused.append(f"{one.name}: it is {role}, and {' and '.join(wanted)} is asked for")
        else:
            roles.setdefault(role, []).append(one)
    for some in roles.values():
        originals = [one for one in some if not one.derived]
        some[:] = originals or some
    return roles, refused
