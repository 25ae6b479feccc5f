"""Scans as they leave the scanner: DICOM, with skull, each modality on a grid of its own."""
