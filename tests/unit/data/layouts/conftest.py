"""Trees of small NIfTI files, and what a cohort takes from them."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


def write_tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.ones((8, 8, 6), np.int16), np.eye(4)), root / name)
    return root


def files_of(cohort, subject: str) -> dict[str, str]:
    found = cohort.subject(subject)
    roles = {**found.images, "brain": found.brain, "lesion": found.lesion}
    return {role: str(image.path.relative_to(cohort.root)) for role, image in roles.items() if image}


@pytest.fixture
def tree():
    """A function that writes NIfTI files of these names into a folder, which it returns."""
    return write_tree


@pytest.fixture
def files():
    """A function that says which file of a cohort is which role of a subject."""
    return files_of
