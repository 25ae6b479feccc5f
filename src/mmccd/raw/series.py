"""Series of DICOM files: which files belong together, what they show, and whether they make one volume."""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmccd.raw.timing import Timing, modality_of
from mmccd.system.extra import needed

FEWEST_SLICES = 3
ORIENTATION_TOLERANCE = 1e-2
"""Of direction cosines: less than a degree."""
TILT = 0.02
"""Sine of the angle between the step from slice to slice and the normal of the slices."""
UNEVEN = 0.1
"""Share of the distance of slices by which a step may differ."""
FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
NO_AGENT = ("", "-", "0", "no", "non", "none", "na", "n/a", "nil", "without", "ohne", "kein", "keine", "unknown")
"""What headers say in place of a contrast agent."""
KINDS = ("CR", "CT", "DX", "KO", "MG", "NM", "OT", "PR", "PT", "RF", "RTSTRUCT", "RWV", "SC", "SEG", "SR", "US", "XA")
"""Modalities of DICOM that may be shown; in a damaged header anything may stand there."""
_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID",
    "SeriesNumber", "SeriesDescription", "ProtocolName", "ImageType", "ScanningSequence", "RepetitionTime", "EchoTime",
    "InversionTime", "ContrastBolusAgent", "DiffusionBValue", "AcquisitionContrast", "ImageOrientationPatient",
    "ImagePositionPatient", "GantryDetectorTilt", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
    "NumberOfFrames", "ImagesInAcquisition", *FUNCTIONAL_GROUPS,
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One DICOM file, by what of its header matters here. Names of people are compared, and never shown.

    Attributes:
        path: The file.
        instance: Its own identifier; empty where the header has none.
        person: Whose it is, as the header says.
        study: Its study.
        uid: Its series.
        number: Of its series, as the scanner counts; None where it does not.
        kind: CT, MR, ...
        image_type: ORIGINAL or DERIVED, and so on.
        colours: Values of a pixel.
        rows: Of a slice.
        columns: Of a slice.
        places: Positions of its slices, (n, 3) mm; NaN where the header does not say.
        cosines: Direction cosines of their rows and columns, (n, 6), likewise.
        timing: Of the sequence.
        description: Free text.
        expected: Files that its series is to have; None where the header does not say.
    """

    path: Path
    instance: str
    person: str
    study: str
    uid: str
    number: int | None
    kind: str
    image_type: tuple[str, ...]
    colours: int
    rows: int
    columns: int
    places: NDArray[np.float64]
    cosines: NDArray[np.float64]
    timing: Timing
    description: str
    expected: int | None = None


@dataclass(frozen=True)
class Series:
    """Files that are one acquisition.

    Attributes:
        pictures: In the order of the slices.
        acquired: Slices that came under one identifier, those of its other echoes with them.
    """

    pictures: tuple[Picture, ...] = field(repr=False)
    acquired: int

    @property
    def first(self) -> Picture:
        """A file that speaks for all."""
        return self.pictures[0]

    @property
    def files(self) -> tuple[Path, ...]:
        """All of it, in the order of the slices."""
        return tuple(picture.path for picture in self.pictures)

    @property
    def name(self) -> str:
        """For readers: number, slices and size, and no free text, in which names may stand."""
        number = "without number" if self.first.number is None else str(self.first.number)
        return f"series {number} ({_slices(len(self.places))} of {self.first.columns} x {self.first.rows})"

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """Positions of all slices, (n, 3) mm."""
        return np.concatenate([picture.places for picture in self.pictures])

    @cached_property
    def cosines(self) -> NDArray[np.float64]:
        """Direction cosines of the rows and columns of all slices, (n, 6)."""
        return np.concatenate([picture.cosines for picture in self.pictures])

    @cached_property
    def modality(self) -> tuple[str | None, str]:
        """Which it is, and how that was told."""
        return modality_of(self.first.timing, self.first.description)

    @property
    def derived(self) -> bool:
        """Computed from other images, as a reformatting is."""
        return "DERIVED" in self.first.image_type

    @cached_property
    def trouble(self) -> str:
        """Why it is no scan that can be scored; empty where it is one."""
        first = self.first
        if first.kind != "MR":
            return f"it is {first.kind if first.kind in KINDS else 'of another modality'}, not MR"
        if first.colours != 1:
            return "it is in colour, as a screenshot or a coded map is"
        if {"P", "PHASE", "I", "IMAGINARY"} & set(first.image_type):
            return "it holds phases, not magnitudes"
        return _trouble_of_places(self.places, self.cosines)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is odd about it, though it can be scored."""
        expected = self.first.expected
        if expected is None or expected <= self.acquired:
            return ()
        return (f"the series was cut short: {self.acquired} slices are there, its header speaks of {expected}",)


def _slices(count: int) -> str:
    return f"{count} slice{'s' * (count != 1)}"


def series_in(files: Iterable[Path]) -> tuple[list[Series], list[Path]]:
    """The series of DICOM files, in the order of their numbers, and the files whose headers cannot be read.

    Files of one series with several echo times are several series here, where they lie at the same places. A copy of a
    file counts once.

    Raises:
        ConfigError: pydicom is not installed.
    """
    groups: dict[tuple[str, str, str], list[Picture]] = {}
    broken: list[Path] = []
    known: set[tuple[str, bytes]] = set()
    for path in files:
        picture = _picture(path)
        if picture is not None and picture.instance:
            itself = (picture.instance, picture.places.tobytes())  # tools that take names out may leave one for all
            if itself in known:  # a copy
                continue
            known.add(itself)
        if picture is None:
            broken.append(path)
        elif picture.rows:  # else a report, or raw data
            groups.setdefault((picture.person, picture.study, picture.uid), []).append(picture)
    found = [
        Series(tuple(sorted(one, key=_along_normal)), sum(len(picture.places) for picture in group))
        for group in groups.values()
        for one in _by_echo(group)
    ]
    return sorted(found, key=lambda one: (one.first.number or 0, one.first.uid, one.first.timing.echo_ms or 0)), broken


def _by_echo(pictures: list[Picture]) -> list[list[Picture]]:
    cosines, places = (np.concatenate([getattr(one, name) for one in pictures]) for name in ("cosines", "places"))
    if not np.abs(cosines - cosines[0]).max() <= ORIENTATION_TOLERANCE:  # or not known
        return [pictures]
    if len(np.unique(places.round(1), axis=0)) == len(places):  # one volume, whatever its headers say of the echo
        return [pictures]
    echoes: dict[float | None, list[Picture]] = {}
    for picture in pictures:
        echo_ms = picture.timing.echo_ms
        echoes.setdefault(None if echo_ms is None else round(echo_ms, 1), []).append(picture)
    return list(echoes.values())


def _along_normal(picture: Picture) -> tuple[float, str]:
    return float(np.cross(picture.cosines[0, :3], picture.cosines[0, 3:]) @ picture.places[0]), picture.path.name


def _trouble_of_places(places: NDArray[np.float64], cosines: NDArray[np.float64]) -> str:
    """Why slices at these places are no volume."""
    if len(places) < FEWEST_SLICES:
        return f"it has {_slices(len(places))}, a volume needs {FEWEST_SLICES} or more"
    if not (np.isfinite(cosines).all() and np.isfinite(places).all()):
        return "its header does not say where its slices lie"
    if np.abs(cosines - cosines[0]).max() > ORIENTATION_TOLERANCE:
        return "its slices lie in several directions, as those of a localiser do"
    normal = np.cross(cosines[0, :3], cosines[0, 3:])
    along = places @ normal
    order = np.argsort(along)
    steps = np.diff(along[order])
    usual = float(np.median(steps))
    if usual <= 0 or steps.min() < UNEVEN * usual:
        return "several of its slices lie at the same place, as those of repeats do"
    if steps.max() > (1 + UNEVEN) * usual:
        return f"slices are missing: the distance between two is {usual:.1f} mm, and {steps.max():.1f} mm somewhere"
    moved = places[order][-1] - places[order][0]
    aside = moved - (moved @ normal) * normal
    if float(np.linalg.norm(aside)) > TILT * float(np.linalg.norm(moved)):
        return "its slices are sheared (gantry tilt)"
    return ""


def _picture(path: Path) -> Picture | None:
    """What a header says; None where it cannot be read."""
    pydicom = needed("pydicom", "a DICOM scan")
    try:
        with warnings.catch_warnings(action="ignore"):  # their words hold what the header says of the patient
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS), force=True)
            return _from_header(path, header)
    except Exception:  # of a damaged header pydicom may raise anything
        return None


def _from_header(path: Path, header: Any) -> Picture:
    frames = list(header.get(FUNCTIONAL_GROUPS[1]) or [])
    shared = list(header.get(FUNCTIONAL_GROUPS[0]) or [])
    groups = [header, *shared, *frames[:1]]
    spots = frames or [header]
    positions = [_numbers(_within(spot, "ImagePositionPatient"), 3) for spot in spots]
    directions = [_numbers(_within(spot, "ImageOrientationPatient", *shared), 6) for spot in spots]
    number = _number(header.get("SeriesNumber"))
    expected = _number(header.get("ImagesInAcquisition"))
    return Picture(
        path=path,
        instance=str(header.get("SOPInstanceUID") or ""),
        person=f"{header.get('PatientID', '')}\0{header.get('PatientName', '')}",
        study=str(header.get("StudyInstanceUID", "")),
        uid=str(header.get("SeriesInstanceUID", "")),
        number=None if number is None else int(number),
        kind=str(header.get("Modality", "")),
        image_type=tuple(str(word).upper() for word in _several(header.get("ImageType"))),
        colours=int(_number(header.get("SamplesPerPixel")) or 1),
        rows=int(_number(header.get("Rows")) or 0),
        columns=int(_number(header.get("Columns")) or 0),
        places=np.array(positions, dtype=np.float64).reshape(-1, 3),
        cosines=np.array(directions, dtype=np.float64).reshape(-1, 6),
        timing=_timing(groups, header),
        description=" ".join(str(header.get(tag, "")) for tag in ("SeriesDescription", "ProtocolName")),
        expected=None if expected is None else int(expected),
    )


def _timing(groups: list[Any], header: Any) -> Timing:
    def first_ms(*tags: str) -> float | None:
        for group in groups:
            for tag in tags:
                value = _number(_within(group, tag))
                if value is not None and value > 0:
                    return value
        return None

    codes = frozenset(str(code).upper() for code in _several(header.get("ScanningSequence")))
    return Timing(
        repetition_ms=first_ms("RepetitionTime"),
        echo_ms=first_ms("EchoTime", "EffectiveEchoTime"),
        inversion_ms=first_ms("InversionTime", "InversionTimes"),
        sequences=codes,
        stated=str(header.get("AcquisitionContrast", "")).upper(),
        agent=str(header.get("ContrastBolusAgent") or "").strip().lower() not in NO_AGENT,
        diffusion=(_number(header.get("DiffusionBValue")) or 0) > 0 or "DIFFUSION" in str(header.get("ImageType", "")),
    )


def _within(group: Any, tag: str, *otherwise: Any) -> Any:
    """A value of a header or of the sequences in one of its functional groups."""
    for place in (group, *otherwise):
        if tag in place:
            return place[tag].value
        for element in place:
            if element.VR == "SQ" and element.keyword not in FUNCTIONAL_GROUPS:
                for item in element.value:
                    if tag in item:
                        return item[tag].value
    return None


def _several(value: Any) -> list[Any]:
    if value is None or isinstance(value, str):
        return [value] if value else []
    return list(value)


def _number(value: Any) -> float | None:
    """A finite number, of several the first; None for anything else that a header may hold."""
    try:
        found = float(_several(value)[0] if not isinstance(value, int | float) else value)
    except (TypeError, ValueError, IndexError):
        return None
    return found if math.isfinite(found) and abs(found) < 1e9 else None


def _numbers(value: Any, count: int) -> list[float]:
    found = [_number(one) for one in _several(value)]
    known = [one for one in found if one is not None]
    return known if len(known) == len(found) == count else [math.nan] * count
