"""A BIDS dataset in, BIDS derivatives out: what the validator says of them, and what is refused."""

import csv
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmccd.data.cohort import Cohort, Subject, read_cohort
from mmccd.data.own_folders import DESCRIPTION, NATIVE, kind_of
from mmccd.data.problems import Problem
from mmccd.errors import ConfigError, DataError
from mmccd.evaluation.evaluate import evaluate
from mmccd.prediction import predict as prediction
from mmccd.prediction.bids import check_output, chosen_cases, predict_bids, write_table
from mmccd.reporting.predictions import Settings
from mmccd.reporting.report import report
from mmccd.system.files import write_json

MAPS = [
    "sub-01/anat/sub-01_desc-anomaly_FLAIR.nii.gz",
    "sub-02/ses-a/anat/sub-02_ses-a_run-1_desc-anomaly_FLAIR.nii.gz",
]

COHORT = Cohort(
    Path("x"),
    "bids",
    tuple(Subject(case, {}) for case in ("sub-01", "sub-02_ses-a", "sub-02_ses-b")),
    {"sub-3": Problem("sub-3", "two runs", "")},
)


def validated(folder, *options):
    """The errors that the BIDS validator finds; it runs offline, as its schema is part of it."""
    if importlib.util.find_spec("bids_validator_deno") is None:
        pytest.skip("the BIDS validator is not there: pip install bids-validator-deno")
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run(
        [validator, folder, "--format", "json", *options], capture_output=True, text=True, check=False
    )
    found = json.loads(done.stdout)
    issues = [
        issue for one in (found, *found.get("derivativesSummary", {}).values()) for issue in one["issues"]["issues"]
    ]
    assert not options or len(found["derivativesSummary"]) == 1
    return [(issue["code"], issue.get("location")) for issue in issues if issue["severity"] == "error"]


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr("mmccd.prediction.preview.write_preview", lambda *_, **__: None)


@pytest.fixture
def dataset(bids_folder, tmp_path):
    return shutil.copytree(bids_folder, tmp_path / "dataset")


@pytest.fixture
def score(detector, dataset):
    """A function that scores the dataset into its derivatives."""

    def call(output=dataset / "derivatives" / "mmccd", inputs=dataset, **options):
        return predict_bids(detector, inputs, output, model="toy", **options)

    return call


@pytest.fixture
def derivatives(dataset, score, no_pictures):
    score()
    return dataset / "derivatives" / "mmccd"


def test_the_validator_finds_no_error_before_and_after(dataset, derivatives):
    (derivatives / "summary.tsv").write_text("participant_id\nsub-01\n")
    (derivatives / "report.html").write_text("a page")
    (derivatives / "report_pages").mkdir()
    (derivatives / "report_pages" / "page-2.html").write_text("a page beside it")
    assert validated(derivatives) == []
    assert validated(dataset) == []


def test_nor_does_it_from_above(dataset, derivatives):
    """Where it walks down to derivatives it reads no `.bidsignore` of theirs."""
    assert validated(dataset, "--recursive") == []


def test_the_validator_would_find_an_error(derivatives):
    shutil.copy(derivatives / MAPS[0], derivatives / "sub-01" / "anat" / "sub-01_anomaly.nii.gz")
    assert validated(derivatives) != []


def test_a_dataset_that_says_what_made_it_of_what(detector, dataset, derivatives):
    said = json.loads((derivatives / DESCRIPTION).read_text())
    assert said["Name"] == "Anomaly maps of Phantoms"
    assert said["DatasetType"] == "derivative"
    (made_by,) = said["GeneratedBy"]
    assert made_by["Name"] == "mmccd"
    assert made_by["Model"] == {"Name": "toy", "Digest": detector.model.card.digest}
    assert (said["DatasetLinks"], said["SourceDatasets"]) == ({"raw": "../.."}, [{"URL": "../.."}])
    assert sorted(path.relative_to(derivatives).as_posix() for path in derivatives.rglob("*_FLAIR.nii.gz")) == MAPS
    assert (derivatives / NATIVE / "sub-02_ses-a.json").is_file()
    assert f"`{NATIVE}/`" in (derivatives / "README.md").read_text()
    for text in derivatives.rglob("*.json"):
        assert str(dataset) not in text.read_text()  # no place of this machine
    assert sorted(path.name for path in dataset.iterdir()) == [
        "README.md", DESCRIPTION, "derivatives", "sub-01", "sub-02",
    ]  # fmt: skip


def test_the_doi_of_the_scans_where_they_have_one(dataset, score, no_pictures, tmp_path):
    write_json(dataset / DESCRIPTION, {"Name": "x", "BIDSVersion": "1.10.0", "DatasetDOI": "doi:10.1/x"})
    score(tmp_path / "apart", subjects=["sub-01"])
    said = json.loads((tmp_path / "apart" / DESCRIPTION).read_text())
    assert (said["SourceDatasets"], said["DatasetLinks"]) == ([{"DOI": "doi:10.1/x"}], {"raw": "../dataset"})
    assert not (tmp_path / "apart" / "sub-02").exists()


def test_finished_cases_are_kept_and_those_that_fail_go(dataset, derivatives, score):
    (derivatives / "README.md").write_text("mine")
    (dataset / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz").write_bytes(b"broken")
    assert [outcome.status for outcome in score()] == ["failed", "kept"]
    assert [path.name for path in derivatives.rglob("*_FLAIR.nii.gz")] == [Path(MAPS[1]).name]
    assert (derivatives / "README.md").read_text() == "mine"


def test_what_is_not_on_the_grid_of_its_t1w_is_said(dataset, score, no_pictures):
    t1 = dataset / "sub-02" / "ses-a" / "anat" / "sub-02_ses-a_run-1_T1w.nii.gz"
    t1.write_bytes(b"broken")
    told = []
    score(told=told.append)
    assert [line.split(":")[:2] for line in told] == [["sub-02_ses-a", " no lesion mask for fMRIPrep"]]


def test_derivatives_are_read_by_report_and_evaluate_and_are_no_cohort(dataset, derivatives, tmp_path):
    assert kind_of(derivatives) == "derivatives"
    with pytest.raises(DataError, match="which is not a cohort"):
        read_cohort(derivatives)
    assert all(subject.lesion is None for subject in read_cohort(dataset).subjects)
    written = report(derivatives, tmp_path / "page.html", Settings(scans=(dataset,), viewer=False))
    assert (written.cases, written.problems) == (2, {})
    with pytest.raises(DataError, match="no lesion mask"):  # not: all of ours agrees with itself
        evaluate(derivatives, dataset, tmp_path / "tables")


# --- whose scans, and the table of all ---


@pytest.mark.parametrize(
    ("participants", "sessions", "cases"),
    [
        ([], [], None),
        (["01"], [], ["sub-01"]),
        (["sub-02", "01"], [], ["sub-01", "sub-02_ses-a", "sub-02_ses-b"]),
        ([], ["a"], ["sub-02_ses-a"]),
        (["02"], ["ses-b"], ["sub-02_ses-b"]),
        (["3"], [], ["sub-3"]),  # cannot be used, and will say so
    ],
)
def test_cases_of_participants_and_sessions(participants, sessions, cases):
    assert chosen_cases(COHORT, participants, sessions) == cases


@pytest.mark.parametrize(
    ("participants", "sessions", "said"),
    [
        (["1", "01"], [], "--participant-label 1: not in the dataset, which has 01, 02, 3"),
        ([], ["c"], "--session-label c: not in the dataset, which has a, b"),
        (["01"], ["a"], "none of these participants has one of these sessions"),
    ],
)
def test_labels_that_are_not_there_are_refused(participants, sessions, said):
    with pytest.raises(ConfigError, match=said):
        chosen_cases(COHORT, participants, sessions)


def test_a_table_of_all_that_was_scored(dataset, derivatives, score, no_pictures):
    (dataset / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz").write_bytes(b"broken")
    score(subjects=["sub-01"])
    with write_table(derivatives).open(newline="") as stream:
        first, second = csv.DictReader(stream, delimiter="\t")
    assert (first["participant_id"], first["session_id"], first["status"]) == ("sub-01", "n/a", "failed")
    assert (first["score"], first["error"][:23]) == ("n/a", "sub-01_FLAIR.nii.gz is ")
    assert (second["participant_id"], second["session_id"], second["status"]) == ("sub-02", "ses-a", "done")
    assert float(second["lesion_volume_ml"]) > 0
    assert second["error"] == "n/a"


def test_no_table_where_nothing_was_scored(predictions_folder, tmp_path):
    for folder in (tmp_path, predictions_folder):
        with pytest.raises(DataError, match="holds no results of participants"):
            write_table(folder)


# --- what is refused ---


def test_other_inputs_are_refused_by_name(dataset, score, phantom_folder, tmp_path, healthy_scan):
    for inputs, said in (
        (phantom_folder, "is in the layout brats"),
        ([dataset, phantom_folder], "2 inputs"),
        (dataset.parent, "holds some, as dataset"),
    ):
        with pytest.raises(ConfigError, match=said):
            score(tmp_path / "out", inputs=inputs)
    with pytest.raises(DataError, match="single image"):
        score(tmp_path / "out", inputs=healthy_scan)
    assert not (tmp_path / "out").exists()


def test_options_that_cannot_be_met_are_refused(score, tmp_path):
    with pytest.raises(ConfigError, match="--anonymize must not"):
        score(anonymize=tmp_path / "names.json")
    with pytest.raises(ConfigError, match="--brain fits one file"):
        score(brain=tmp_path / "brain.nii.gz")
    assert not (tmp_path / "names.json").exists()


def test_places_that_belong_to_others_are_refused(dataset, score, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").touch()
    (dataset / "derivatives" / "fmriprep").mkdir(parents=True)
    write_json(dataset / "derivatives" / "fmriprep" / DESCRIPTION, {"GeneratedBy": [{"Name": "fMRIPrep"}]})
    for place, said in (
        (tmp_path / "file", "is not a folder"),
        (tmp_path / "used", "such as notes.txt"),
        (dataset, "which stays as it is"),
        (dataset / "out", "which stays as it is"),
        (dataset / "derivatives", "the folder of all derivatives"),
        (dataset / "derivatives" / "fmriprep", f"such as {DESCRIPTION}"),
    ):
        with pytest.raises(ConfigError, match=said):
            score(place)


def test_plain_results_do_not_go_among_derivatives(detector, healthy_scan, derivatives):
    before = sorted(derivatives.rglob("*"))
    with pytest.raises(ConfigError, match="holds BIDS derivatives"):
        prediction.predict(detector, healthy_scan, derivatives)
    assert sorted(derivatives.rglob("*")) == before


def test_results_of_another_model_are_refused(tmp_path):
    output = tmp_path / "out"
    for one in ({"Name": "mmccd", "Model": {"Digest": "abc"}}, {"Name": "mmccd"}):
        write_json(output / DESCRIPTION, {"GeneratedBy": [one]})
        with pytest.raises(ConfigError, match=f"digest {'abc' if 'Model' in one else 'unknown'}, this one is def"):
            check_output(tmp_path / "dataset", output, "def")
    write_json(output / DESCRIPTION, {"GeneratedBy": [{"Name": "mmccd", "Model": {"Digest": "def"}}]})
    check_output(tmp_path / "dataset", output, "def")
