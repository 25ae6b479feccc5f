"""`mmccd predict --bids`: a folder of BIDS derivatives; what `predict` itself writes lies in a folder within.

The scans are scored first, as ever: resuming, locks and kept cases are those of `predict`.
"""

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from urllib.parse import quote

from mmccd.data.cohort import Cohort, read_cohort
from mmccd.data.given import as_paths
from mmccd.data.layouts.entities import Selection
from mmccd.data.own_folders import DESCRIPTION, NATIVE, PROGRAM, SUMMARY, is_own_dataset
from mmccd.errors import ConfigError, DataError
from mmccd.prediction.bids_files import write_case
from mmccd.prediction.bids_names import RAW
from mmccd.prediction.bids_roi import ROIS
from mmccd.prediction.detector import Detector
from mmccd.prediction.predict import predict
from mmccd.prediction.share import Share
from mmccd.prediction.summary import Outcome, rows_of
from mmccd.raw.brain import Strip
from mmccd.system.files import read_record, write_atomically, write_json
from mmccd.system.plain_text import as_cell
from mmccd.system.progress import ProgressCallback, no_progress
from mmccd.version import __version__

BIDS_VERSION = "1.10.0"
PAGE, PAGES, TABLE = "report.html", "report_pages", "summary.tsv"
"""What `mmccd-bids` writes of all participants together; the pages beside the page lie in a folder."""
COLUMNS = (
    "status", "score", "p_value", "threshold", "lesion_volume_ml", "brain_volume_ml", "seconds", "warnings", "error",
)  # fmt: skip
_IGNORED = (PAGE, PAGES, TABLE)
_README = f"""# Anomaly maps by mmccd

What should not be there in a brain MRI, found without a single annotation. Research use only, not a medical device.

- `*_desc-anomaly_*.nii.gz`: how unusual each voxel is; 0 outside the brain. Not a probability: see `Units` beside it.
- `*_label-lesion_mask.nii.gz`: 1 where the map exceeds the threshold that its JSON names. No expert drew it.
- `*_desc-brain_mask.nii.gz`: the brain, where it had to be found.
- `{NATIVE}/`: the same as `mmccd predict` writes it, with a record, a picture, and `{SUMMARY}`;
  for `mmccd report` and `mmccd evaluate`.
- `{ROIS}/`: masks under the name that fMRIPrep takes for cost function masking. They work only once copied beside the
  T1w images of the raw dataset; look at each of them before.
"""


def predict_bids(
    detector: Detector,
    inputs: Sequence[Path | str] | Path | str,
    output: Path | str,
    *,
    model: str,
    layout: str = "auto",
    select: Selection | None = None,
    brain: Path | None = None,
    strip: Strip = "auto",
    subjects: Collection[str] | None = None,
    share: Share | None = None,
    overwrite: bool = False,
    preview: bool = True,
    workers: int | None = None,
    cluster: str | None = None,
    anonymize: Path | None = None,
    told: Callable[[str], None] = lambda _: None,
    progress: ProgressCallback = no_progress,
) -> list[Outcome]:
    """Score the scans of one BIDS dataset and write derivatives of it.

    Args:
        detector: The loaded model.
        inputs: The dataset.
        output: The derivatives: a folder that is new, empty, or was written by this function with this model.
        model: What the model is called.
        layout: ``auto`` or ``bids``.
        select: Which of several files for one role is meant, see ``read_cohort``.
        brain: None: brain masks are found by name.
        strip: As of `predict`.
        subjects: Score only these, for example ``sub-01_ses-2``; None scores all.
        share: As of `predict`.
        overwrite: Score again what is already there.
        preview: Also write a picture of each case.
        workers: As of `predict`.
        cluster: As of `predict`.
        anonymize: None: derivatives are named as their subjects are.
        told: Called with what a user should know of the derivatives.
        progress: Called with a description, the number done, and the total.

    Returns:
        One outcome per scan.

    Raises:
        ConfigError: the input is no single BIDS dataset, an option does not fit, or something else lies in ``output``.
        DataError: as `predict`.
    """
    if anonymize is not None:
        what = "--bids names files as their subjects are called, which --anonymize must not"
        raise ConfigError(what, "leave one of them out; or give the subjects other names in the dataset itself")
    if brain is not None:
        raise ConfigError("--brain fits one file, and --bids takes a dataset", "name brain masks ..._desc-brain_mask")
    cohort, output = bids_cohort(inputs, layout, select), Path(output)
    card = detector.model.card
    check_output(cohort.root, output, card.digest)
    _write_dataset(cohort.root, output, {"Name": model, "Digest": card.digest})
    outcomes = predict(
        detector, cohort.root, output / NATIVE, layout="bids", select=select, strip=strip,
        subjects=subjects, share=share, overwrite=overwrite, preview=preview, workers=workers, cluster=cluster,
        progress=progress,
    )  # fmt: skip
    units = "nat" if all(one.config.scoring.error == "tail" for one in detector.model.members) else "arbitrary"
    found = {subject.id: subject for subject in cohort.subjects}
    for outcome in outcomes:
        subject = found.get(outcome.case)
        note = write_case(output, cohort.root, subject, outcome, detector.sources, units=units, strip=strip)
        if note:
            told(f"{outcome.case}: {note}")
    return outcomes


def bids_cohort(
    inputs: Sequence[Path | str] | Path | str, layout: str = "auto", select: Selection | None = None
) -> Cohort:
    """The subjects of one BIDS dataset.

    Raises:
        ConfigError: it is none: another layout, several inputs, or a folder above datasets.
        DataError: it cannot be read.
    """
    paths = as_paths(inputs)
    remedy = "give the folder that holds sub-..., or leave --bids out"
    if len(paths) != 1:
        raise ConfigError(f"--bids takes one dataset, and {len(paths)} inputs are given", remedy)
    cohort = read_cohort(paths[0], layout, select)
    if cohort.layout != "bids":
        raise ConfigError(f"{paths[0].name} is in the layout {cohort.layout}, --bids takes BIDS only", remedy)
    images = [image.path for subject in cohort.subjects for image in subject.images.values()]
    if above := [path for path in images if not path.relative_to(cohort.root).parts[0].startswith("sub-")]:
        inner = above[0].relative_to(cohort.root).parts[0]
        raise ConfigError(f"{paths[0].name} is no BIDS dataset, but holds some, as {inner}", f"{remedy}; one by one")
    return cohort


def chosen_cases(cohort: Cohort, participants: Collection[str], sessions: Collection[str]) -> list[str] | None:
    """Of a dataset the cases of these participants and sessions; None where all are meant.

    Args:
        cohort: The dataset.
        participants: Labels, with or without ``sub-``; none means all.
        sessions: Labels, with or without ``ses-``; none means all.

    Raises:
        ConfigError: a label is none of the dataset's.
    """
    labels = {case: labels_of(case) for case in (*(subject.id for subject in cohort.subjects), *cohort.problems)}
    chosen = list(labels)
    for option, asked, of_cases in (
        ("--participant-label", {name.removeprefix("sub-") for name in participants}, 0),
        ("--session-label", {name.removeprefix("ses-") for name in sessions}, 1),
    ):
        there = {label[of_cases] for label in labels.values()} - {""}
        if unknown := sorted(asked - there):
            some = ", ".join(sorted(there)[:10]) + (", ..." if len(there) > 10 else "")
            what = f"{option} {' '.join(unknown)}: not in the dataset, which has {some or 'none'}"
            raise ConfigError(what, "check the spelling, zeros in front included")
        chosen = [case for case in chosen if not asked or labels[case][of_cases] in asked]
    if not chosen:
        raise ConfigError("none of these participants has one of these sessions", "check both")
    return chosen if participants or sessions else None


def labels_of(case: str) -> tuple[str, str]:
    """Of a case the labels of participant and session, the latter empty where there is none.

    Example:
        >>> labels_of("sub-01_ses-2")
        ('01', '2')
    """
    participant, _, session = case.partition("_")
    return participant.removeprefix("sub-"), session.removeprefix("ses-")


def write_table(output: Path) -> Path:
    """A row for each scan that was scored or failed, of all runs, as a table of BIDS has them.

    Raises:
        DataError: ``output`` holds no derivatives of ours, or no scan was scored.
    """
    rows = rows_of(output / NATIVE / SUMMARY) if is_own_dataset(output) else {}
    if not rows:
        raise DataError(f"{output} holds no results of participants", "run the level `participant` first")
    lines = ["\t".join(("participant_id", "session_id", *COLUMNS))]
    for case, row in sorted(rows.items()):
        participant, session = labels_of(case)
        cells = (f"sub-{participant}", f"ses-{session}" if session else "", *(row.get(name, "") for name in COLUMNS))
        lines.append("\t".join(as_cell(cell or "") or "n/a" for cell in cells))
    write_atomically(output / TABLE, "".join(f"{line}\n" for line in lines).encode())
    return output / TABLE


def check_output(root: Path, output: Path, digest: str) -> None:
    """Refuse a folder in which derivatives of this dataset by this model must not lie.

    Raises:
        ConfigError: says what is there.
    """
    another = "choose another output folder, as a rule BIDS_DIR/derivatives/mmccd"
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is not a folder, derivatives need one", another)
    inside = output.resolve().parts[len(root.resolve().parts) :]
    if output.resolve().is_relative_to(root.resolve()) and inside[:1] != ("derivatives",):
        raise ConfigError(f"{output} lies in the dataset of the scans, which stays as it is", another)
    if inside == ("derivatives",):
        raise ConfigError(f"{output} is the folder of all derivatives, ours need one of their own", another)
    if is_own_dataset(output):
        if (made_by := _model_of(output)) != digest:
            what = f"{output} holds results of another model (digest {made_by or 'unknown'}, this one is {digest})"
            raise ConfigError(what, another)
    elif there := [path.name for path in sorted(output.glob("*")) if not path.name.startswith(".")]:
        raise ConfigError(f"{output} holds something else than derivatives of mmccd, such as {there[0]}", another)


def _model_of(output: Path) -> str | None:
    for one in (read_record(output / DESCRIPTION) or {}).get("GeneratedBy", []):
        if isinstance(one, dict) and isinstance(one.get("Model"), dict):
            return str(one["Model"].get("Digest"))
    return None


def _write_dataset(root: Path, output: Path, model: dict[str, str]) -> None:
    """What makes a dataset of the folder; first of all, so that a killed run is known for what it was."""
    source = read_record(root / DESCRIPTION) or {}
    link = quote(Path(os.path.relpath(root.resolve(), output.resolve())).as_posix())
    doi = source.get("DatasetDOI")
    name = source.get("Name")
    description = {
        "Name": f"Anomaly maps of {name if isinstance(name, str) and name else 'a BIDS dataset'}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": PROGRAM,
                "Version": __version__,
                "Description": f"Anomaly maps by the model {model['Name']} (digest {model['Digest']})",
                "Model": model,
            }
        ],
        "DatasetLinks": {RAW: link},
        "SourceDatasets": [{"DOI": doi} if isinstance(doi, str) and doi else {"URL": link}],
    }
    if read_record(output / DESCRIPTION) != description:
        write_json(output / DESCRIPTION, description)
    write_atomically(output / ".bidsignore", "".join(f"{line}\n" for line in _IGNORED).encode())
    if not (output / "README.md").exists():
        write_atomically(output / "README.md", _README.encode())
