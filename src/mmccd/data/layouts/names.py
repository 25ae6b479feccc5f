"""What the name of a file, or of a modality, says: FLAIR, T1, a brain mask, a lesion mask."""

import re
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path

from mmccd.data.formats import stem
from mmccd.data.layouts import words
from mmccd.data.layouts.words import words_of

BRAIN, LESION = "brain", "lesion"
MASKS = (BRAIN, LESION)
OTHER = "other"
"""A contrast that is none of ours, such as diffusion."""
_IMAGES = ("flair", "t1", "t1ce", "t2")
_SEPARATOR = re.compile(r"[_\-. ]+")
_T1 = words.T1 | words.T1_AFTER_CONTRAST
_MAY_BEGIN = (
    words.WEIGHTINGS | words.T1_BY_SEQUENCE | words.CONTRAST | words.GEOMETRY | words.DERIVED
    | words.LESION | words.SEGMENTATION | words.VAGUE | words.MASK | words.BRAIN | words.TISSUE | words.SHARES
)  # fmt: skip
_OF_IDS = words.KNOWN - words.REFERENCE - words.PROCESSING
_OF_MASKS = words.LESION | words.SEGMENTATION | words.VAGUE | words.MASK | words.BRAIN | words.TISSUE | words.SHARES


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
    if plain in known:
        return plain
    found = words_of(plain)
    role = _role(found) if words.KNOWN.issuperset(found) else None
    return role if role in _IMAGES else plain


def role_of(path: Path) -> str | None:
    """Role of a file by its name: FLAIR beats T1 and T2, and a word of a mask or of a map leaves no image.

    Example:
        >>> [role_of(Path(name)) for name in ("T2_FLAIR.nii", "t1_mprage_KM.nii", "FLAIR_lesion.nii", "T2_map.nii")]
        ['flair', 't1ce', 'lesion', None]
    """
    return _role(words_of(stem(path)))


def subject_and_role(text: str) -> tuple[str, str | None]:
    """What a name says in its last words, and what stands before them; all of it where it ends in no known word.

    Example:
        >>> subject_and_role("P_7_T2_FLAIR"), subject_and_role("tumor_07_T1c"), subject_and_role("FLAIR")
        (('P_7', 'flair'), ('tumor_07', 't1ce'), ('', 'flair'))
    """
    places = [(0, 0), *(found.span() for found in _SEPARATOR.finditer(text))]
    for head_end, tail_start in places:
        tail = words_of(text[tail_start:])
        if not _OF_IDS.issuperset(tail) or not _may_begin(tail):
            continue
        role = _role(tail)
        if tail[0] in _OF_MASKS and role not in MASKS and words.WEIGHTINGS & set(tail):
            continue  # "brain_study_T1": of the subject
        return text[:head_end], role
    return text, None


def _may_begin(tail: Sequence[str]) -> bool:
    """Whether words may be all that is said of an image; in "post_T1" the first may be of a second visit."""
    without = tail[:1] and tail[0] in words.WITHOUT and words.CONTRAST & set(tail[1:2])
    return bool(tail) and (tail[0] in _MAY_BEGIN or bool(without))


def preference(path: Path) -> int:
    """Which of several files for one role is meant: the least.

    A consensus counts more than its experts, a stripped scan more than that with skull, and a ``brain_mask`` more than
    a ``brain``, which may be the stripped scan.
    """
    found = words_of(stem(path))
    there, role = set(found), _role(found)
    stripped = role in _IMAGES and "brain" in there
    sure = role == BRAIN and bool(there & (words.MASK | words.SEGMENTATION | {"brainmask"}))
    return 2 if there & words.SPARE else 0 if there & words.BEST or stripped or sure else 1


def named_otherwise(path: Path, modality: str) -> bool:
    """Whether a file name says another contrast than this modality, and not this one: ``T1_FLAIR`` may be either."""
    named = _contrasts(words_of(stem(path)))
    return modality in _IMAGES and bool(named) and modality not in named


def contrasts_named(text: str) -> frozenset[str]:
    """The modalities that a name without an ending may mean; `OTHER` for a contrast that is none of ours.

    Example:
        >>> sorted(contrasts_named("T1_FLAIR")), contrasts_named("Ax_DWI_b1000") == {OTHER}, contrasts_named("head")
        (['flair', 't1'], True, frozenset())
    """
    return frozenset(_contrasts(words_of(text)))


def is_mask(path: Path) -> bool:
    """Whether a file name leaves no doubt that it holds a mask; ``p01_brain`` may be a stripped scan.

    What is taken for a scan by mistake is refused by name once it is read; a scan taken for a mask would be missed.
    """
    found = words_of(stem(path))
    sure = words.MASK | words.SEGMENTATION | {"brainmask"}
    vague = not (words.LESION | words.WEIGHTINGS) & set(found)
    return bool(sure & set(found)) or (_role(found) == LESION and not vague)


def says_contrast(text: str) -> bool:
    """Whether a text says "after contrast"."""
    return _after_contrast(words_of(text))


def weightings_in(text: str) -> bool:
    """Whether a text names FLAIR, T1 or T2."""
    return bool(words.WEIGHTINGS & set(words_of(text)))


def _role(found: Sequence[str]) -> str | None:
    found = _without_references(found)
    there = set(found)
    if there & words.SHARES:
        return None
    modality = _modality(found)
    mask, outlined = bool(there & words.MASK), bool(there & words.SEGMENTATION)
    if words.LESION & set(_behind_numbers(found)) and words.FILLED not in there:
        return LESION
    healthy = (mask or outlined) and bool(there & words.TISSUE)
    if "brainmask" in there or (_of_brain(found) and (mask or (outlined and not modality))):
        return None if healthy else BRAIN
    vague = there & words.VAGUE
    if modality:
        behind = [word for word in found if word in words.WEIGHTINGS | words.VAGUE][-1:]
        if mask or outlined or vague & set(behind):
            return LESION if vague and not healthy else None
        return None if _is_derived(found) else modality
    if _of_brain(found):
        return BRAIN
    return LESION if (outlined or vague) and not healthy else None


def _of_brain(found: Sequence[str]) -> bool:
    """Of the brain, and not of what is in it."""
    return "brain" in found and not any(a == "brain" and b in words.DISEASE for a, b in pairwise(found))


def _contrasts(found: Sequence[str]) -> set[str]:
    """The modalities that a name may mean; `OTHER` for one that is none of ours."""
    found = _without_references(found)
    there = set(found)
    modality = _modality(found)
    if (modality and there & words.SHARES) or _is_derived(found) or (not modality and there & words.OTHER_CONTRASTS):
        return {OTHER}
    if modality and there & words.FLAIR:
        return {modality, "flair"}
    if modality and there & words.T2 and there & _T1:
        return {modality, "t2"}
    return {modality} if modality else set()


def _modality(found: Sequence[str]) -> str | None:
    there = set(found)
    explicit = [word for word in found if word in words.WEIGHTINGS]
    if there & words.FLAIR and not _is_t1_flair(explicit):
        return "flair"
    if there & words.T1_AFTER_CONTRAST:
        return "t1ce"
    first = next((word for word in explicit if word not in words.FLAIR), None)
    if first in words.T2:
        return "t2"
    if first is None and not there & (words.T1_BY_SEQUENCE | words.AGENT):
        return None
    return "t1ce" if _after_contrast(found) else "t1"


def _is_t1_flair(explicit: Sequence[str]) -> bool:
    """GE's and Siemens' T1 with an inversion pulse: T1 stands before FLAIR, and T2 nowhere."""
    return explicit[0] in _T1 and not words.T2 & set(explicit)


def _after_contrast(found: Sequence[str]) -> bool:
    padded = ["", *(word for word in found if word not in words.GEOMETRY), ""]
    near = max(1, _first_weighting(padded) - 1)
    return any(
        (padded[i] in words.CONTRAST and padded[i - 1] not in words.WITHOUT)
        or (padded[i] == words.POST and padded[i + 1] not in words.AFTER_SOMETHING_ELSE)
        for i in range(near, len(padded) - 1)
    )


def _is_derived(found: Sequence[str]) -> bool:
    modality = _modality(found)
    near = set(found[max(0, _first_weighting(found) - 1) :]) & words.DERIVED
    return bool(modality) and bool(near - words.ALSO_OF_T1 if modality in ("t1", "t1ce") else near)


def _behind_numbers(found: Sequence[str]) -> Sequence[str]:
    """Without the words before a number before an image: "lesion_07_FLAIR" is of the subject "lesion_07"."""
    before = [place for place, word in enumerate(found[: _first_weighting(found)]) if word.isdecimal()]
    return found[before[-1] :] if before else found


def _first_weighting(found: Sequence[str]) -> int:
    """Where the image is named; the beginning where it is not. What stands far before it is of the subject."""
    named = words.WEIGHTINGS | words.T1_BY_SEQUENCE
    return next((place for place, word in enumerate(found) if word in named), 0)


def _without_references(found: Sequence[str]) -> list[str]:
    """Without what an image was registered to: "T1_to_FLAIR" is a T1."""
    kept: list[str] = []
    for place, word in enumerate(found):
        follows = place > 0 and found[place - 1] in words.REFERENCE
        if not (follows and word in words.WEIGHTINGS and (words.WEIGHTINGS | _OF_MASKS) & set(kept)):
            kept.append(word)
    return kept
