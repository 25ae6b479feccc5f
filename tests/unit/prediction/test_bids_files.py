"""The derivatives of one case: what is copied, what is said of it, and what of an earlier run goes."""

import json
import shutil

import pytest

from mmccd.data.case_record import read_case_record
from mmccd.data.cohort import read_cohort
from mmccd.data.own_folders import NATIVE
from mmccd.data.problems import Problem
from mmccd.prediction.bids_files import write_case
from mmccd.prediction.bids_roi import ROIS
from mmccd.prediction.predict import predict
from mmccd.prediction.summary import Outcome, outcome_of
from mmccd.system.files import sha256_of_file, write_json

CASE = "sub-02_ses-a"
STEM = "sub-02/ses-a/anat/sub-02_ses-a_run-1"
ANOMALY, MASK, BRAIN = (f"{STEM}_{name}" for name in ("desc-anomaly_FLAIR", "label-lesion_mask", "desc-brain_mask"))
ROI = f"{ROIS}/{STEM}_label-lesion_roi"
ALL = sorted(f"{name}.{end}" for name in (ROI, ANOMALY, MASK) for end in ("json", "nii.gz"))


@pytest.fixture(scope="module")
def scored(detector, bids_folder, tmp_path_factory):
    """What `predict` leaves of the dataset."""
    output = tmp_path_factory.mktemp("scored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmccd.prediction.preview.write_preview", lambda *_, **__: None)
        predict(detector, bids_folder, output / NATIVE)
    return output


@pytest.fixture
def output(scored, tmp_path):
    return shutil.copytree(scored, tmp_path / "derivatives")


@pytest.fixture
def subject(bids_folder):
    return read_cohort(bids_folder).subject(CASE)


@pytest.fixture
def write(bids_folder, output, subject):
    """A function that writes the derivatives of the case; what it says."""

    def call(status="done"):
        if status == "failed":
            outcome = Outcome.failed(Problem(CASE, "broken", ""))
        else:
            outcome = outcome_of(read_case_record(output / NATIVE / f"{CASE}.json"), status)
        return write_case(output, bids_folder, subject, outcome, ("flair",), units="nat")

    return call


@pytest.fixture
def change_record(output):
    """A function that makes another record of the case."""
    place = output / NATIVE / f"{CASE}.json"
    return lambda **values: write_json(place, json.loads(place.read_text()) | values)


def files(output):
    found = [path.relative_to(output) for path in output.rglob("*") if path.is_file()]
    return sorted(path.as_posix() for path in found if not path.is_relative_to(NATIVE))


def test_maps_under_their_names_with_what_they_are(output, write):
    assert write() == ""
    assert files(output) == ALL
    record = read_case_record(output / NATIVE / f"{CASE}.json")
    anomaly, mask = (json.loads((output / f"{name}.json").read_text()) for name in (ANOMALY, MASK))
    scan = "bids:raw:sub-02/ses-a/anat/sub-02_ses-a_run-1_FLAIR.nii.gz"
    assert (anomaly["Sources"], anomaly["SpatialReference"], mask["SpatialReference"]) == ([scan], scan, scan)
    assert mask["Sources"] == [f"bids::{ANOMALY}.nii.gz"]
    assert (anomaly["SkullStripped"], anomaly["Units"], mask["Type"], mask["Manual"]) == (True, "nat", "Lesion", False)
    assert (anomaly["Score"], anomaly["PValue"]) == (record.score, record.p_value)
    assert anomaly["Threshold"] == mask["Threshold"] == record.threshold
    assert anomaly["Warnings"] == list(record.warnings)
    assert anomaly["ModelDigest"] == record.origin["model"]
    assert anomaly["RecordSHA256"] == sha256_of_file(output / NATIVE / f"{CASE}.json")
    for ours, native in ((ANOMALY, "anomaly"), (MASK, "mask")):
        assert (output / f"{ours}.nii.gz").read_bytes() == (output / NATIVE / f"{CASE}_{native}.nii.gz").read_bytes()


def test_a_brain_that_had_to_be_found_lies_beside(output, write, change_record):
    shutil.copy(output / NATIVE / f"{CASE}_mask.nii.gz", output / NATIVE / f"{CASE}_brain.nii.gz")
    change_record(brain_from="HD-BET")
    write()
    said = json.loads((output / f"{BRAIN}.json").read_text())
    assert (said["Type"], said["Description"]) == ("Brain", "The brain, found by HD-BET.")
    assert (output / f"{BRAIN}.nii.gz").is_file()

    (output / NATIVE / f"{CASE}_brain.nii.gz").unlink()  # the next run was given a stripped scan
    write()
    assert files(output) == ALL


def test_what_was_corrected_by_hand_stays_until_the_case_is_scored_anew(output, write, change_record):
    write()
    mask = output / f"{MASK}.nii.gz"
    mask.write_bytes((output / f"{ANOMALY}.nii.gz").read_bytes())
    corrected = mask.read_bytes()
    write("kept")
    assert mask.read_bytes() == corrected

    change_record(seconds=9.0)
    write()
    assert mask.read_bytes() == (output / NATIVE / f"{CASE}_mask.nii.gz").read_bytes()


def test_what_was_removed_comes_back(output, write):
    write()
    (output / f"{MASK}.nii.gz").unlink()
    (output / f"{ANOMALY}.json").write_text("{")
    write("kept")
    assert files(output) == ALL


def test_derivatives_of_a_case_that_fails_now_go_and_other_files_stay(output, write):
    write()
    mine = output / f"{STEM}_desc-mine_mask.nii.gz"
    mine.touch()
    other = output / "sub-02/anat/sub-02_label-lesion_mask.nii.gz"  # of another case
    other.parent.mkdir()
    other.touch()
    write("failed")
    assert files(output) == sorted(path.relative_to(output).as_posix() for path in (mine, other))


def test_another_run_of_the_same_case_leaves_nothing_of_the_former(output, write):
    write()
    for end in (".nii.gz", ".json"):
        (output / f"{MASK}{end}").rename(output / f"{MASK.replace('run-1', 'run-2')}{end}")
    mine = output / f"{MASK.replace('run-1', 'rater-me')}.nii.gz"  # no JSON of ours says whose it is
    mine.touch()
    write()
    assert files(output) == sorted([*ALL, mine.relative_to(output).as_posix()])
