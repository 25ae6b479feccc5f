"""Phantoms as they would leave a scanner: with skull, and each modality on a grid of its own."""

import nibabel as nib
import numpy as np
from scipy import ndimage

from mmccd.data.volumes import read_volume

MOVED = np.array([[0.99, -0.1411, 0, 5.0], [0.1411, 0.99, 0, -3.0], [0, 0, 1, 4.0], [0, 0, 0, 1.0]])


def head_of(path):
    """The scan with a skull around it and noise everywhere, as nibabel's image, and its brain."""
    image = nib.load(path)
    scan = np.asarray(image.dataobj).astype(np.float32)
    brain = scan > 0
    far = ndimage.distance_transform_edt(~brain)
    bright = float(np.percentile(scan[brain], 90))
    head = np.where((far > 1.5) & (far < 3.5), bright, scan) + 1
    return nib.Nifti1Image(head.astype(np.float32), image.affine), brain


def write_raw(case, folder, subject="P", *, apart=True):
    """FLAIR and T2 of a phantom with skull; the T2 lies otherwise and has a slice less. Returns the brain in FLAIR."""
    folder.mkdir(parents=True, exist_ok=True)
    flair, brain = head_of(case / f"{case.name}_flair.nii.gz")
    other, _ = head_of(case / f"{case.name}_t2.nii.gz")
    if apart:
        other = nib.Nifti1Image(np.asarray(other.dataobj)[:, :, 1:], MOVED @ other.affine @ _up_one())
    nib.save(flair, folder / f"{subject}_flair.nii.gz")
    nib.save(other, folder / f"{subject}_t2.nii.gz")
    return brain


def _up_one():
    step = np.eye(4)
    step[2, 3] = 1
    return step


def brain_finder(stripped):
    """In place of HD-BET: what the phantom knows, on the grid of a scan that lies alike; else about the same."""
    known = read_volume(stripped)

    def extract(volume):
        if volume.data.shape == known.data.shape:
            return known.data > 0
        return ndimage.binary_erosion(ndimage.binary_fill_holes(volume.data > 1), iterations=4)

    return extract
