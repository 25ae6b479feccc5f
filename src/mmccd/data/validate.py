"""`mmccd validate`: read every file of a cohort once and say, subject by subject, what would go wrong later."""

from dataclasses import dataclass, replace
from functools import partial

from mmccd.data.checks import odd_about_other, odd_about_scan
from mmccd.data.cohort import MODALITIES, Cohort, Subject, all_healthy
from mmccd.data.problems import Problem
from mmccd.data.subject import Case, Ready, as_it_is, load_case
from mmccd.data.volumes import brain_mask
from mmccd.errors import DataError, MmccdError
from mmccd.system.progress import ProgressCallback, no_progress, of_case
from mmccd.system.workers import chosen_workers, each

NO_MASK = "it has no lesion mask while others have one: predict scores it, prepare leaves it out; all zero says healthy"
# Experts outline to the pial surface, so a few lesion voxels beyond the mask are normal.
LESION_OUTSIDE_SHARE = 0.05


@dataclass(frozen=True)
class CaseReport:
    """What reading one subject showed.

    Attributes:
        subject: Subject id.
        problem: Why it cannot be used; None where it can.
        warnings: Usable, but worth a look.
        shape: (x, y, z) voxels, or None when nothing could be read.
        spacing_mm: Voxel size, or None.
        modalities: Names of its images.
    """

    subject: str
    problem: Problem | None = None
    warnings: tuple[str, ...] = ()
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    modalities: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it can be used."""
        return self.problem is None


def validate(
    cohort: Cohort, *, ready: Ready = as_it_is, workers: int | None = 1, progress: ProgressCallback = no_progress
) -> list[CaseReport]:
    """Read each subject in full; one that fails does not stop the others.

    Args:
        cohort: Subjects; those that were left out when it was read are reported as failed.
        ready: Makes a subject ready before it is read: see `mmccd.raw.ready`.
        workers: Processes; None takes as many as cores are idle where there are subjects enough.
        progress: Called with a subject that is done, the number done, and the total.

    Returns:
        One report a subject, sorted by id.
    """
    some_have_masks = not all_healthy(cohort.subjects)
    reports = [CaseReport(name, problem) for name, problem in cohort.problems.items()]
    total = len(reports) + len(cohort.subjects)
    count = chosen_workers(workers, len(cohort.subjects))
    with each(partial(validate_subject, ready=ready), cohort.subjects, count) as answers:
        for subject, report in answers:
            without = report.ok and some_have_masks and not subject.lesion
            reports.append(replace(report, warnings=(*report.warnings, NO_MASK)) if without else report)
            progress(of_case(subject.id), len(reports), total)
    progress("done", total, total)
    return sorted(reports, key=lambda report: report.subject)


def validate_subject(subject: Subject, ready: Ready = as_it_is) -> CaseReport:
    """Read one subject with all its modalities; a user's mistakes go into the report, bugs propagate."""
    names = tuple(subject.images)
    try:
        case = load_case(ready(subject), names)
    except (MmccdError, MemoryError, OSError) as error:
        return CaseReport(subject.id, Problem.of(subject.id, error), modalities=names)
    reference = case.images[names[0]]
    x, y, z = reference.data.shape
    problem = None
    if subject.unusable:
        first, *_ = subject.unusable.values()
        what = "; ".join(dict.fromkeys(one.what for one in subject.unusable.values()))
        problem = Problem(subject.id, what, first.hint)
    return CaseReport(subject.id, problem, tuple(_warnings(case)), (x, y, z), reference.spacing_mm, names)


def _warnings(case: Case) -> list[str]:
    name, *others = case.images
    odd = [
        *odd_about_scan(case.images[name], case.brain, name),
        *(text for other in others for text in odd_about_other(other, case.images[other], case.brain)),
    ]
    return [*odd, *case.warnings, *_odd_names(case), *_unstripped(case), *_lesion_outside(case)]


def _odd_names(case: Case) -> list[str]:
    odd = [name for name in case.images if name not in MODALITIES]
    return [f"modality names {', '.join(odd)} are not among the usual {', '.join(MODALITIES)}"] if odd else []


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
