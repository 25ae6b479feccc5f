"""`mmccd predict`: scans in, maps, masks and a summary out; one bad scan never stops the others."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from mmccd.data.given import as_paths
from mmccd.data.layouts.entities import Selection
from mmccd.data.own_folders import is_own_dataset
from mmccd.data.problems import Problem
from mmccd.data.pseudonyms import UNUSABLE, pseudonyms
from mmccd.data.recipe import made_otherwise
from mmccd.errors import ConfigError, DataError
from mmccd.prediction.case import CaseScorer
from mmccd.prediction.detector import Detector
from mmccd.prediction.inputs import Input, find_inputs
from mmccd.prediction.record import recipe
from mmccd.prediction.share import Share
from mmccd.prediction.summary import Outcome, check_tables, write_tables
from mmccd.raw.brain import Strip
from mmccd.system.cluster import LOST, Cluster, parse_cluster, spread
from mmccd.system.devices import one_thread
from mmccd.system.progress import Doing, ProgressCallback, no_progress, of_case
from mmccd.system.workers import chosen_workers


def predict(
    detector: Detector,
    inputs: Sequence[Path | str] | Path | str,
    output: Path | str,
    *,
    layout: str = "auto",
    select: Selection | None = None,
    brain: Path | None = None,
    strip: Strip = "auto",
    series: Mapping[int, str | None] | None = None,
    subjects: Collection[str] | None = None,
    share: Share | None = None,
    overwrite: bool = False,
    preview: bool = True,
    dicom_seg: bool = False,
    workers: int | None = None,
    cluster: str | None = None,
    anonymize: Path | None = None,
    told: Callable[[str], None] = lambda _: None,
    progress: ProgressCallback = no_progress,
) -> list[Outcome]:
    """Score every scan of ``inputs`` and write `<case>_anomaly.nii.gz`, `<case>_mask.nii.gz` and `<case>.json`.

    Of the whole folder it writes `summary.csv`, a row for each case, and `findings.csv`, a row for each finding.

    Args:
        detector: The loaded model.
        inputs: Scans, folders of them, DICOM, or cohorts in any layout that `mmccd.data.cohort` reads; or one of these.
        output: Folder for the results; cases that it already holds from this model and scan are kept. Several
            processes may share it.
        layout: Layout of the cohorts.
        select: Which of several files for one role is meant in a cohort, see ``read_cohort``.
        brain: Brain mask for a single input file.
        strip: Whether brains are extracted, and modalities of a subject registered; see `mmccd.raw.ready`.
        series: Which DICOM series to use; see `mmccd.raw.convert`.
        subjects: Score only these subjects; None scores all.
        share: Score only this share of the cases; shares may be scored at the same time, on several machines.
        overwrite: Score again what is already there.
        preview: Also write `<case>.png`.
        dicom_seg: Also write `<case>_seg.dcm`, a DICOM segmentation, of scans that came as DICOM. It names the patient.
        workers: Processes of one thread each; whatever their number, results are the same to the bit. None takes as
            many as cores are idle where there are scans enough for that to be worth it, else this process with all of
            its threads.
        cluster: Where to score instead of on this machine, see `mmccd.system.cluster.parse_cluster`. A scan that
            several processes there died of is a failure of its own.
        anonymize: Key of random names for the cases, see `mmccd.data.pseudonyms`; no result then holds a name of an
            input.
        told: Called with what each DICOM series was taken for.
        progress: Called with a description, the number done, and the total.

    Returns:
        One outcome per scan.

    Raises:
        DataError: there is no scan to score, or ``output`` cannot be written or holds a `summary.csv` or a
            `findings.csv` of another tool.
        ConfigError: the output is no folder, or one of BIDS derivatives; it holds other cases that another model,
            threshold or version of mmccd scored; the key of the names lies in the output folder, or is none; a DICOM
            segmentation is asked for without names, or of scans that are no DICOM; several processes, where only one
            can be; or the cluster is none, or cannot be had.
    """
    given, output, elsewhere = as_paths(inputs), Path(output), parse_cluster(cluster, workers)
    if elsewhere is not None:  # processes there work in folders of their own
        given, output = [path.absolute() for path in given], output.absolute()
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is not a folder, results need one", "choose another output folder")
    if is_own_dataset(output):
        what = f"{output} holds BIDS derivatives, among which plain results are not valid"
        raise ConfigError(what, "add --bids, or choose another output folder")
    if dicom_seg and anonymize is not None:
        what = "a DICOM segmentation names the patient and the study, and --anonymize takes names out"
        raise ConfigError(what, "leave --dicom-seg out, or --anonymize")
    check_tables(output)
    found, problems = find_inputs(
        given, *detector.sources, layout=layout, brain=brain, select=select, series=series,
        told=told if anonymize is None else None,
    )  # fmt: skip
    if subjects is not None:
        subjects = frozenset(subjects)
        found = [item for item in found if item.case in subjects]
        problems = {case: problem for case, problem in problems.items() if case in subjects}
        if not found and not problems:
            raise DataError(
                f"none of the {len(subjects)} subjects asked for is among the scans", "check that ids are spelled alike"
            )
    everyone = {item.case: item.case for item in found}
    if anonymize is not None:
        everyone = pseudonyms(anonymize, [*everyone, *problems], outside=output)
    if left := made_otherwise(output, recipe(detector), {everyone[item.case] for item in found}):
        raise ConfigError(
            f"{output} holds {left}, and it is not among these scans: one folder takes results of one kind",
            "choose another output folder; or give all the scans that were scored there, which replaces their results",
        )
    if share is not None:
        found = [item for item in found if share.holds(item.case)]
        problems = {case: problem for case, problem in problems.items() if share.holds(case)}
    if anonymize is not None:
        names = everyone
        found = [replace(item, case=names[item.case], private_id=item.case) for item in found]
        found.sort(key=lambda item: item.case)  # the order of the work says nothing either
        problems = {
            names[case]: replace(problem, subject=names[case], what=UNUSABLE) for case, problem in problems.items()
        }
    if dicom_seg and found and not any(item.image.dicom for item in found):
        what = "--dicom-seg writes a segmentation for the DICOM series of a scan, and no scan came as DICOM"
        raise ConfigError(what, "leave --dicom-seg out, or give the DICOM files")
    outcomes = [Outcome.failed(problem) for problem in problems.values()]
    scored = CaseScorer(detector, output, strip, overwrite, dicom_seg, preview)
    others: list[Input] = []
    processes = _processes(workers, detector, len(found), elsewhere)
    threads = nullcontext() if workers is None else one_thread()
    with threads, spread(scored, found, processes, elsewhere, lost=_lost, told=told) as answers:
        for item, outcome in answers:
            progress(of_case(item.case), len(outcomes) - len(problems), len(found))
            if outcome is not None:
                outcomes.append(outcome)
            else:  # another process scores it now: see at the end whether it did
                others.append(item)
        for item in others:
            waiting = Doing(f"waiting for another process at {item.case}", case=item.case)
            progress(waiting, len(outcomes) - len(problems), len(found))
            while (outcome := replace(scored, overwrite=False)(item, wait=True)) is None:
                pass  # taken over once more
            outcomes.append(outcome)
    progress("done", len(found), len(found))
    looked_for = {outcome.case: outcome for outcome in write_tables(output, outcomes)}
    return [looked_for[case] for case in sorted(outcome.case for outcome in outcomes)]


def _processes(asked: int | None, detector: Detector, scans: int, elsewhere: Cluster | None) -> int:
    alone = detector.device.type != "cpu" or detector.runtime != "torch"
    if alone and (elsewhere is not None or (asked or 1) > 1):
        what = f"several processes cannot share {detector.runtime} on {detector.device}"
        raise ConfigError(what, "leave --workers and --cluster out, or choose --device cpu and --runtime torch")
    return 1 if alone else chosen_workers(asked, scans)


def _lost(item: Input) -> Outcome:
    return Outcome.failed(Problem(item.case, *LOST))
