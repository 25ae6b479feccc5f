"""BIDS: ``sub-XX[/ses-YY]/anat``, masks there or in derivatives; what fMRIPrep writes; several datasets in a folder."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from mmccd.data.layouts import words
from mmccd.data.layouts.entities import BidsName, Selection, bids_name, choose, entities_of, remedy
from mmccd.data.layouts.listing import Chooser, Entry, Layout, Listing, nifti_files
from mmccd.data.layouts.names import BRAIN, LESION, role_of, says_contrast
from mmccd.data.layouts.words import words_of
from mmccd.data.own_folders import is_own_dataset
from mmccd.data.tables import read_table
from mmccd.errors import DataError

_IMAGES = {"flair": "flair", "t1w": "t1", "t2w": "t2"}
_MASKS = ("mask", "dseg", "roi")
_LESION = re.compile(r"(label|desc)-(L|WMH|lesions?[a-z]*|tumou?r[a-z]*)\d*|lesions?|tumou?r|WMH", re.IGNORECASE)
_OF_MASKS = ("desc", "label")  # say of an image how it was made, of a mask what of
_DEPTH = 8
_NO_DATASETS = ("derivatives", "sourcedata", "code", "stimuli")


def _detect(root: Path) -> bool:
    return bool(_datasets(root))


def _read(root: Path) -> Listing:
    return _selected(root, {})


def _selected(root: Path, selection: Selection) -> Listing:
    """The files that are wanted of each subject.

    Raises:
        DataError: what is asked for is in no name.
    """
    datasets = _datasets(root) or [root]
    images = [path for folder in datasets for anat in _anat(folder) for path in nifti_files(anat)]
    places = dict.fromkeys([root / "derivatives", *(folder / "derivatives" for folder in datasets)])
    masks = [*images, *(path for place in places if place.is_dir() for path in _derived(place))]
    _check_selection(masks, selection)
    listing = Listing()
    found: dict[tuple[str, str], list[Path]] = {}
    for path in images:
        if (name := bids_name(path)) and (role := _image_role(name)):
            found.setdefault((name.subject, role), []).append(path)
    for (subject, role), paths in found.items():
        wanted = choose(paths, selection)
        if not wanted:
            asked = " ".join(f"{entity}={value}" for entity, value in selection.items())
            listing.lacking[subject, role] = f"no {role} image fits {asked}: {', '.join(path.name for path in paths)}"
        listing.entries.extend(Entry(subject, role, path) for path in _native(wanted))
    listing.entries.extend(_masks(masks, listing, selection))
    listing.splits.update(_splits(datasets, sorted({subject for subject, _ in found})))
    used, scans = {entry.path for entry in listing.entries}, set(images)
    listing.unused.extend(path for path in masks if path not in used and (path in scans or _may_be_lesion(path)))
    return listing


def _datasets(root: Path) -> list[Path]:
    """The folders that hold subjects: this one, or those one or two below, as ``rawdata`` and the sites of ATLAS."""
    for pattern in ("", "*/", "*/*/"):
        anat = _anat(root, pattern)
        found = {next(above.parent for above in path.parents if above.name.startswith("sub-")) for path in anat}
        kept = [one for one in sorted(found) if not _is_beside(one.relative_to(root)) and not is_own_dataset(one)]
        if kept:
            return kept
    return []


def _derived(place: Path) -> Iterator[Path]:
    """Files of derivatives, but not our own: what this program marked is no expert's mask."""
    ours = cache(is_own_dataset)
    for path in nifti_files(place, _DEPTH):
        above = path.relative_to(place).parents
        if not any(ours(place / folder) for folder in above):
            yield path


def _is_beside(folder: Path) -> bool:
    return any(name in _NO_DATASETS or name.startswith((".", "sub-")) for name in folder.parts)


def _anat(root: Path, pattern: str = "") -> list[Path]:
    """Folders of anatomical images; OASIS-3 numbers them."""
    places = ("sub-*/anat", "sub-*/ses-*/anat", "sub-*/anat[0-9]", "sub-*/ses-*/anat[0-9]")
    return sorted(folder for place in places for folder in root.glob(pattern + place))


def _image_role(name: BidsName) -> str | None:
    role = _IMAGES.get(name.suffix.lower())
    if role is None or name.entities.get("part", "mag") != "mag":
        return None
    acquired = name.entities.get("acq", "")
    if role == "t2" and words.FLAIR & set(words_of(acquired)):
        return "flair"
    contrast = name.entities.get("ce", "none") != "none" or says_contrast(acquired)
    return "t1ce" if role == "t1" and contrast else role


def _native(paths: Sequence[Path]) -> list[Path]:
    """Of images as they were scanned and as they were moved to a template, the former."""
    return [path for path in paths if "space" not in entities_of(path)] or list(paths)


def _masks(files: Iterable[Path], listing: Listing, selection: Selection) -> list[Entry]:
    """Masks of subjects with images; of several, those in the space of an image (fMRIPrep writes more)."""
    subjects = {entry.subject for entry in listing.entries} | {subject for subject, _ in listing.lacking}
    sessions: dict[str, list[str]] = {}
    for subject in subjects:
        sessions.setdefault(subject.partition("_ses-")[0], []).append(subject)
    spaces = {(image.subject, entities_of(image.path).get("space")) for image in listing.entries}
    found: dict[tuple[str, str], list[Path]] = {}
    for path in files:
        name = bids_name(path)
        role = _mask_role(name) if name else None
        if not name or not role:
            continue
        # A mask without a session is that of the only session; of several, nobody can tell which.
        meant = [name.subject] if name.subject in subjects else sessions.get(name.subject, [])
        if len(meant) == 1:
            found.setdefault((meant[0], role), []).append(path)
    masks: list[Entry] = []
    for (subject, role), paths in found.items():
        wanted = choose(paths, selection, leave=_OF_MASKS)
        near = [path for path in wanted if (subject, entities_of(path).get("space")) in spaces]
        masks += [Entry(subject, role, path) for path in (near if len(wanted) > 1 and near else wanted)]
    return masks


def _mask_role(name: BidsName) -> str | None:
    suffix = name.suffix.lower()
    if _LESION.fullmatch(suffix) or (suffix == "msk" and not name.parts):  # ISLES 2022
        return LESION
    if suffix not in _MASKS:
        return None
    if any(_LESION.fullmatch(part) for part in name.parts):
        return LESION
    if "desc-brain" in name.parts or "label-brain" in name.parts:
        return BRAIN
    # "sub-1_T1w_brain_mask", "sub-1_FLAIR_roi": words where entities would be.
    plain = [part for part in name.parts if "-" not in part]
    role = role_of(Path(f"{'_'.join([*plain, suffix])}.nii")) if plain else None
    return role if role in (BRAIN, LESION) else None


def _may_be_lesion(path: Path) -> bool:
    """A mask that is not understood; segmentations of tissue are `dseg`."""
    name = bids_name(path)
    return name is not None and name.suffix in _MASKS and name.suffix != "dseg" and _mask_role(name) is None


def _splits(datasets: Iterable[Path], subjects: Iterable[str]) -> dict[str, str]:
    tables = [folder / "participants.tsv" for folder in datasets]
    rows = [row for table in tables if table.is_file() for row in read_table(table, ["participant_id"])]
    stated = {row["participant_id"]: row["split"] for row in rows if row.get("split", "n/a") not in ("", "n/a")}
    return {subject: stated[who] for subject in subjects if (who := subject.split("_")[0]) in stated}


def _check_selection(files: Iterable[Path], selection: Selection) -> None:
    there = {entity for path in files for entity in entities_of(path)}
    if unknown := [entity for entity in selection if entity not in there]:
        raise DataError(
            f"no file has the entity {', '.join(unknown)} that is asked for",
            f"select by one of {', '.join(sorted(there)) or 'none: no file has entities'}, or leave --select out",
        )


LAYOUT = Layout(
    _detect, _read, "sub-<id>[/ses-<id>]/anat/sub-<id>_..._{FLAIR,T1w,T2w}.nii.gz", Chooser(_selected, remedy)
)
