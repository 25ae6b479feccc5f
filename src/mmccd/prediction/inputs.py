"""The scans that paths on a command line mean: files, folders of files, or cohorts."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmccd.data.case_record import is_result
from mmccd.data.cohort import Image, Subject, unsafe_id
from mmccd.data.formats import is_scan_name, stem
from mmccd.data.layouts.entities import Selection
from mmccd.data.layouts.listing import nifti_files
from mmccd.data.layouts.names import BRAIN, is_mask, named_otherwise, role_of
from mmccd.data.layouts.registry import LAYOUTS
from mmccd.data.problems import Problem
from mmccd.data.trouble import MEND, hint_of_absent
from mmccd.errors import ConfigError, DataError
from mmccd.raw.convert import LAYOUT as DICOM
from mmccd.raw.convert import any_cohort
from mmccd.raw.export import holds_dicom
from mmccd.system.plain_text import printable


@dataclass(frozen=True)
class Input:
    """One scan to score.

    Attributes:
        case: Name of its results.
        image: The scan.
        brain: Its brain mask.
        others: Further modalities.
        private_id: What the case was called before it got a name that says nothing; None where it has its own.
    """

    case: str
    image: Image
    brain: Image | None = None
    others: Mapping[str, Image] = field(default_factory=dict)
    private_id: str | None = None

    @property
    def files(self) -> dict[str, Image | None]:
        """All files by what they are."""
        return {"scan": self.image, "brain": self.brain, **self.others}


def find_inputs(
    inputs: Sequence[Path],
    source: str,
    *others: str,
    layout: str = "auto",
    brain: Path | None = None,
    select: Selection | None = None,
    series: Mapping[int, str | None] | None = None,
    told: Callable[[str], None] | None = None,
) -> tuple[list[Input], dict[str, Problem]]:
    """The scans that are meant, and by case what is wrong with those that cannot be used.

    Args:
        inputs: Files, folders of files, or cohorts.
        source: Modality to score.
        others: Further modalities that each subject must have; loose files have none.
        layout: Layout of the cohorts.
        brain: Brain mask for a single input file.
        select: Which of several files for one role is meant in a cohort, see ``read_cohort``.
        series: Which DICOM series to use; see `mmccd.raw.convert.dicom_cohort`.
        told: Called with what each DICOM series was taken for.

    Raises:
        DataError: there is no scan at all, or a cohort cannot be read.
        ConfigError: a brain mask is given for more than one file.
    """
    found: list[Input] = []
    problems: dict[str, Problem] = {}
    for path in inputs:
        folder = _is_folder(path)
        table = path.suffix.lower() in (".csv", ".tsv")
        dicom = layout == DICOM or holds_dicom(path)
        loose = [] if table or dicom else _loose_scans(path) if folder else [path]
        if loose:
            for file in loose:
                case = stem(file)
                if not os.path.lexists(file) and (hint := hint_of_absent(file)):
                    problems[printable(case)] = Problem(printable(case), f"{file.name} does not exist", hint)
                elif reason := unsafe_id(case) or _no_scan(file, source):
                    problems[printable(case)] = Problem(printable(case), reason, MEND)
                else:
                    found.append(Input(case, Image(file), Image(brain) if brain and not folder else None))
        else:
            cohort = any_cohort(path, layout, select, wanted=(source, *others), series=series, told=told)
            problems |= cohort.problems
            for subject in cohort.subjects:
                if problem := _lacking(subject, (source, *others)):
                    problems[subject.id] = problem
                else:
                    further = {name: subject.images[name] for name in others}
                    found.append(Input(subject.id, subject.images[source], subject.brain, further))
    if brain is not None and (len(inputs) != 1 or any(item.brain != Image(brain) for item in found)):
        raise ConfigError("--brain fits one input file only", "give a CSV manifest with a brain column for several")
    spelled = Counter(item.case.casefold() for item in found)
    for item in (item for item in found if spelled[item.case.casefold()] > 1):
        what = f"several scans would be written as {item.case}: predict them into two folders"
        problems[item.case] = Problem(item.case, what, MEND)
    found = [item for item in found if item.case not in problems]
    if not found and not problems:
        raise DataError(f"no {source} scan in {', '.join(map(str, inputs))}", "give NIfTI files or a cohort folder")
    return found, problems


def _lacking(subject: Subject, needed: Sequence[str]) -> Problem | None:
    """What stands in the way of the modalities that are needed; what is wrong with others does not matter."""
    if unusable := [subject.unusable[role] for role in (*needed, BRAIN) if role in subject.unusable]:
        return unusable[0]
    if absent := [name for name in needed if name not in subject.images]:
        what = f"has no {' and no '.join(absent)}, only {', '.join(subject.modalities)}"
        return Problem(subject.id, what, f"{MEND}; `mmccd validate` shows which file was taken for what")
    return None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir() and not is_scan_name(path.name)  # one that has the name of a scan is no scan, and fails
    except OSError:  # no such name can be
        return False


def _no_scan(file: Path, source: str) -> str | None:
    if is_result(file):
        return "is a result of `mmccd predict`, not a scan: its record lies beside it"
    if not named_otherwise(file, source):
        return None
    return f"its name says another modality than {source}, which the model scores; if it is {source}, rename it"


def _loose_scans(folder: Path) -> list[Path]:
    """The images of a folder in which each file is a scan of its own; empty where the folder is a cohort.

    A cohort has subfolders, or names its files ``<subject>_<modality>`` or ``<case>_0000``, or is one subject of
    several modalities.
    """
    try:
        folders = [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]
    except OSError:  # whoever reads it as a cohort will say so
        return []
    if any(not is_scan_name(child.name) for child in folders):
        return []
    files = list(nifti_files(folder))
    roles = [role_of(file) for file in files]
    one_subject = len(files) > 1 and None not in roles and len(set(roles)) == len(roles)
    if one_subject or any(LAYOUTS[name].detect(folder) for name in ("brats", "nnunet")):
        return []
    return [file for file in files if not is_mask(file)]
