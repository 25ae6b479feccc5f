"""Small DICOM series, written for a test."""

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

FLAIR = {"RepetitionTime": 9000, "EchoTime": 120, "InversionTime": 2500, "ScanningSequence": ["SE", "IR"]}
T1 = {"RepetitionTime": 2300, "EchoTime": 3, "InversionTime": 900, "ScanningSequence": ["GR"]}
T2 = {"RepetitionTime": 4500, "EchoTime": 100, "ScanningSequence": ["SE"]}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
PERSON = "Doe^Josephine"


def write_series(folder, *, slices=6, rows=20, columns=16, apart_mm=4.0, pixel_mm=2.0, number=1, uid=None,
                 person=PERSON, study="1.2.3", places=None, cosines=AXIAL, values=None, name="IM", **tags):  # fmt: skip
    """One file for each slice; what is in ``tags`` goes into every header. Returns the paths.

    ``values`` is (columns, rows, slices): along the patient's left, back and top.
    """
    folder.mkdir(parents=True, exist_ok=True)
    uid = uid or generate_uid()
    if values is None:
        values = np.random.default_rng(number).integers(1, 1000, (columns, rows, slices))
    paths = []
    for index in range(slices):
        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = MRImageStorage
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = generate_uid()
        header.PatientName, header.PatientID, header.PatientBirthDate = person, person, "19500101"
        header.StudyInstanceUID, header.SeriesInstanceUID, header.SeriesNumber = study, uid, number
        header.FrameOfReferenceUID = study
        header.Modality, header.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M"]
        header.InstanceNumber = index + 1
        header.Rows, header.Columns = values.shape[1], values.shape[0]
        header.PixelSpacing, header.SliceThickness = [pixel_mm, pixel_mm], apart_mm
        header.ImageOrientationPatient = list(cosines)
        header.ImagePositionPatient = list(places[index] if places else (0.0, 0.0, apart_mm * index))
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
        header.PixelData = np.ascontiguousarray(values[:, :, index].T).astype(np.uint16).tobytes()
        for tag, value in tags.items():
            setattr(header, tag, value)
        path = folder / f"{name}{index:03d}.dcm"
        pydicom.dcmwrite(path, header, enforce_file_format=True)
        paths.append(path)
    return paths
