"""What the name of a file, or of a modality, says: FLAIR, T1, a brain mask, a lesion mask."""

import re
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path

from mmccd.data.nifti import stem

BRAIN, LESION = "brain", "lesion"
# Every name that a modality or a mask goes by in BraTS (2017 to 2024), MSD and single-centre folders.
ROLES = {
    "flair": "flair", "t2f": "flair",
    "t1": "t1", "t1n": "t1", "t1w": "t1", "mprage": "t1",
    "t1ce": "t1ce", "t1c": "t1ce", "t1gd": "t1ce",
    "t2": "t2", "t2w": "t2",
    "seg": LESION, "segm": LESION, "segmentation": LESION, "lesion": LESION, "lesions": LESION,
    "tumor": LESION, "tumour": LESION, "label": LESION, "roi": LESION, "gold": LESION, "consensus": LESION,
    "brain": BRAIN, "brainmask": BRAIN,
}  # fmt: skip
MASKS = (BRAIN, LESION)
_VAGUE = ("tumor", "tumour", "label", "roi")  # where no other word says more: "tumor_07_T1c" is an image
_NO_BRAIN = {("brain", disease) for disease in ("tumor", "tumour", "lesion", "lesions")}


def modality_named(name: str, known: Collection[str] = ()) -> str:
    """A modality by any name that it goes by, in any case; other names in lower case.

    Args:
        name: As somebody wrote it.
        known: Modalities that are there: their own names are left as they are.

    Example:
        >>> modality_named("T2w"), modality_named("SWI"), modality_named("t1w", known=("t1w",))
        ('t2', 'swi', 't1w')
    """
    plain = name.strip().lower()
    return plain if plain in known else ROLES.get(plain, plain)


def role_of(path: Path) -> str | None:
    """Role by the first known word of a file name; a name that says ``mask`` is never an image."""
    word = _telling_word(path)
    return ROLES[word] if word else None


def named_otherwise(path: Path, modality: str) -> bool:
    """Whether a file name says other modalities than this one, and not this one: ``T2_FLAIR`` may be either."""
    named = {ROLES[word] for word in _words(path) if word in ROLES} - {BRAIN, LESION}
    return modality in ROLES.values() and bool(named) and modality not in named


def is_mask(path: Path) -> bool:
    """Whether a file name leaves no doubt that it holds a mask; ``p01_brain`` may be a stripped scan.

    What is taken for a scan by mistake is refused by name once it is read; a scan taken for a mask would be missed.
    """
    word = _telling_word(path)
    return "mask" in _words(path) or (ROLES.get(word or "") in MASKS and word not in ("brain", *_VAGUE))


def _telling_word(path: Path) -> str | None:
    words = _words(path)
    known = [word for word in words if word in ROLES and ("mask" not in words or ROLES[word] in MASKS)]
    if any(pair in _NO_BRAIN for pair in pairwise(words)):
        known.remove("brain")
    return min(known, key=lambda word: word in _VAGUE, default=None)


def _words(path: Path) -> list[str]:
    return re.split(r"[_\-. ]+", stem(path).lower())
