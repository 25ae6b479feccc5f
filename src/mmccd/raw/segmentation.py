"""What was marked in a DICOM series as a DICOM segmentation, which viewers lay over that series."""

import io
import logging
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmccd.data.formats import LPS_TO_RAS
from mmccd.data.own_folders import PROGRAM
from mmccd.data.volumes import Volume
from mmccd.errors import DataError
from mmccd.raw.series import Series, series_in
from mmccd.system.extra import needed
from mmccd.system.files import write_atomically
from mmccd.version import __version__

WHAT_FOR = "a DICOM segmentation"
NOT_WRITTEN = "no DICOM segmentation was written"
"""How every `DataError` of this module begins."""
NIFTI_IS_THERE = "the mask is there as NIfTI"
NUMBERS_FROM = 9000
"""Of segmentations among the series of a study: behind those of scanners."""
MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Of a scan's header, in DICOM's words of type 2: demanded, and without a value where it is not known."""
SEXES = ("", "M", "F", "O")
SHARED = ("PixelMeasuresSequence", "PlaneOrientationSequence")
"""What a segmentation looks for among what all frames of a file share."""

logging.getLogger("highdicom").addHandler(logging.NullHandler())  # its words hold what headers say of the patient


def write_segmentation(
    path: Path, marked: NDArray[np.bool_], volume: Volume, files: Sequence[Path], made_by: str
) -> None:
    """Write what is marked as a binary segmentation with one segment, slice by slice on the pixels of the series.

    As the standard demands, it names the patient and the study, copied from the series: it is no file to share.

    Args:
        path: The file to write.
        marked: (x, y, z), on the grid of ``volume``.
        volume: The series as it was converted, in RAS+.
        files: The DICOM files that ``volume`` was converted from.
        made_by: Says how this was marked: the same gives the same identifiers.

    Raises:
        DataError: the files are no longer those, or their headers lack what a segmentation must name.
        ConfigError: highdicom is not installed.
    """
    seg = needed("highdicom.seg", WHAT_FOR)
    content, codes = needed("highdicom.content", WHAT_FOR), needed("pydicom.sr.codedict", WHAT_FOR).codes
    found, _ = series_in(files)
    if len(found) != 1:
        raise DataError(f"{NOT_WRITTEN}: the files are {len(found)} series now, and were one", NIFTI_IS_THERE)
    (series,) = found
    pixels = _on_pixels(marked, volume, series)
    family = codes.DCM.ArtificialIntelligence
    lesion = seg.SegmentDescription(
        segment_number=1,
        segment_label="Anomaly",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=content.AlgorithmIdentificationSequence(PROGRAM, family, __version__),
    )
    made_of = (series.first.uid, made_by)
    try:
        with warnings.catch_warnings(action="ignore"):  # their words hold what the header says of the patient
            made = seg.Segmentation(
                source_images=_headers(series),
                pixel_array=pixels,
                segmentation_type=seg.SegmentationTypeValues.BINARY,
                segment_descriptions=[lesion],
                series_instance_uid=_uid("series", *made_of),
                series_number=NUMBERS_FROM + (series.first.number or 0) % 1000,
                sop_instance_uid=_uid("instance", *made_of),
                instance_number=1,
                manufacturer=PROGRAM,
                manufacturer_model_name=f"{PROGRAM} predict",
                software_versions=__version__,
                device_serial_number=__version__,
                series_description="Anomalies, not for diagnosis",
                omit_empty_frames=bool(pixels.any()),
            )
            stream = io.BytesIO()
            made.save_as(stream)
    except Exception as error:  # of an odd header highdicom and pydicom may raise anything
        # The words of other errors may hold what the header says of the patient.
        why = f"it has no {error.name}" if isinstance(error, AttributeError) else "something in it is not as DICOM says"
        what = f"{NOT_WRITTEN}: the header of the series does not allow it, {why}"
        raise DataError(what, NIFTI_IS_THERE) from error
    write_atomically(path, stream.getbuffer())


def says_not_written(warnings: Iterable[str]) -> bool:
    """Whether one of the warnings of a case says that its segmentation could not be."""
    return any(NOT_WRITTEN in text for text in warnings)


def _headers(series: Series) -> list[Any]:
    """Of its files, without their pixels, and with all that a segmentation copies."""
    pydicom = needed("pydicom", WHAT_FOR)
    headers = [pydicom.dcmread(picture.path, stop_before_pixels=True, force=True) for picture in series.pictures]
    for header in headers:
        for keyword in MAY_BE_EMPTY:
            if keyword not in header:
                setattr(header, keyword, "")
        if not header.get("SliceThickness"):
            header.SliceThickness = f"{np.linalg.norm(series.places[1] - series.places[0]):.6g}"
        if header.PatientSex not in SEXES:
            header.PatientSex = ""
        if not header.get("FrameOfReferenceUID"):  # some tools take it out with the names; the places are still there
            header.FrameOfReferenceUID = _uid("frame of reference", series.first.uid)
        if frames := header.get("PerFrameFunctionalGroupsSequence"):
            (shared,) = header.SharedFunctionalGroupsSequence
            for group in SHARED:
                if group not in shared:  # a volume has the same in all frames
                    shared[group] = frames[0][group]
    return headers


def _on_pixels(marked: NDArray[np.bool_], volume: Volume, series: Series) -> NDArray[np.uint8]:
    """(slices, rows, columns), as the series has them; the volume has its voxels, turned to RAS+."""
    to_voxel = np.linalg.inv(volume.affine) @ LPS_TO_RAS
    rows, columns = np.mgrid[: series.first.rows, : series.first.columns]
    slices = []
    for place, cosines in zip(series.places, series.cosines, strict=True):
        first = to_voxel @ [*place, 1.0]
        to_right, down = (_step(to_voxel[:3, :3] @ cosine) for cosine in (cosines[:3], cosines[3:]))
        at = np.rint(first[:3, None, None] + columns * to_right[:, None, None] + rows * down[:, None, None])
        x, y, z = at.astype(int)
        inside = [(axis >= 0) & (axis < size) for axis, size in zip((x, y, z), marked.shape, strict=True)]
        if not np.all(inside):
            raise DataError(f"{NOT_WRITTEN}: the files do not lie where the scan was read", NIFTI_IS_THERE)
        slices.append(marked[x, y, z])
    return np.stack(slices).astype(np.uint8)


def _step(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """From one pixel to the next, in voxels: along one axis, because a volume keeps the pixels of its series."""
    along = np.zeros(3)
    axis = int(np.abs(direction).argmax())
    along[axis] = np.sign(direction[axis])
    return along


def _uid(*of: str) -> str:
    """An identifier of DICOM, the same for the same."""
    return str(needed("pydicom.uid", WHAT_FOR).generate_uid(entropy_srcs=list(of)))
