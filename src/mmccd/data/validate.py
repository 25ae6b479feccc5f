"""Read every file of a cohort once and say, subject by subject, what would go wrong later."""

from dataclasses import dataclass, replace

from mmccd.data.cohort import MODALITIES, Cohort, Subject
from mmccd.data.subject import Case, load_case
from mmccd.data.volumes import brain_mask
from mmccd.errors import DataError, MmccdError
from mmccd.system.progress import ProgressCallback, no_progress

THICKEST_SLICE_MM = 3.0
NO_MASK = "it has no lesion mask while others have one: predict scores it, prepare leaves it out; all zero says healthy"
# Experts outline to the pial surface, so a few lesion voxels beyond the mask are normal.
LESION_OUTSIDE_SHARE = 0.05


@dataclass(frozen=True)
class CaseReport:
    """What reading one subject showed.

    Attributes:
        subject: Subject id.
        ok: Whether it can be used.
        error: What is wrong, or empty.
        hint: What to do about it, or empty.
        warnings: Usable, but worth a look.
        shape: (x, y, z) voxels, or None when nothing could be read.
        spacing_mm: Voxel size, or None.
        modalities: Names of its images.
    """

    subject: str
    ok: bool
    error: str = ""
    hint: str = ""
    warnings: tuple[str, ...] = ()
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    modalities: tuple[str, ...] = ()


def validate_cohort(cohort: Cohort, *, progress: ProgressCallback = no_progress) -> list[CaseReport]:
    """Read each subject in full; one that fails does not stop the others.

    Args:
        cohort: Subjects; those that were left out when it was read are reported as failed.
        progress: Called with a subject, the number done, and the total.

    Returns:
        One report a subject, sorted by id.
    """
    subjects = {subject.id: subject for subject in cohort.subjects}
    some_have_masks = any(subject.lesion for subject in cohort.subjects)
    reports = []
    names = sorted(subjects.keys() | cohort.problems.keys())
    for done, name in enumerate(names):
        progress(name, done, len(names))
        if name in subjects:
            report = validate_subject(subjects[name])
            if report.ok and some_have_masks and not subjects[name].lesion:
                report = replace(report, warnings=(*report.warnings, NO_MASK))
        else:
            report = CaseReport(name, False, cohort.problems[name], "mend its files, or leave it out of the cohort")
        reports.append(report)
    progress("done", len(names), len(names))
    return reports


def validate_subject(subject: Subject) -> CaseReport:
    """Read one subject with all its modalities; a user's mistakes go into the report, bugs propagate."""
    names = tuple(subject.images)
    try:
        case = load_case(subject, names)
    except MmccdError as error:
        return CaseReport(subject.id, False, error.message, error.hint, modalities=names)
    except MemoryError as error:
        return CaseReport(subject.id, False, f"too large for the memory: {error}", "check its shape", modalities=names)
    except OSError as error:
        return CaseReport(subject.id, False, f"cannot be read: {error}", "copy the file again", modalities=names)
    reference = case.images[names[0]]
    x, y, z = reference.data.shape
    return CaseReport(subject.id, True, "", "", tuple(_warnings(case)), (x, y, z), reference.spacing_mm, names)


def _warnings(case: Case) -> list[str]:
    return [*case.warnings, *_odd_names(case), *_thick_slices(case), *_unstripped(case), *_lesion_outside(case)]


def _odd_names(case: Case) -> list[str]:
    odd = [name for name in case.images if name not in MODALITIES]
    return [f"modality names {', '.join(odd)} are not among the usual {', '.join(MODALITIES)}"] if odd else []


def _thick_slices(case: Case) -> list[str]:
    thickest = max(next(iter(case.images.values())).spacing_mm)
    if thickest <= THICKEST_SLICE_MM:
        return []
    return [f"slices are {thickest:.1f} mm thick, more than {THICKEST_SLICE_MM:.0f}: small lesions will be missed"]


def _unstripped(case: Case) -> list[str]:
    """Only the reference decides on the brain; a skull in another modality would teach the wrong contrast."""
    if case.subject.brain:
        return []
    found = []
    for name, volume in list(case.images.items())[1:]:
        try:
            brain_mask(volume)
        except DataError as error:
            found.append(f"{name}: {error.message}")
    return found


def _lesion_outside(case: Case) -> list[str]:
    if case.lesion is None or not case.lesion.any():
        return []
    share = float((case.lesion & ~case.brain).sum() / case.lesion.sum())
    if share <= LESION_OUTSIDE_SHARE:
        return []
    return [f"{share:.0%} of the lesion lies outside the brain: check that the masks belong to these images"]
