"""Numbers in place of names, and messages without them."""

import pytest

from mmccd.data.problems import Problem
from mmccd.reporting.hidden_names import Secrets, names_of_cases


def test_cases_are_numbered_in_the_order_of_their_names():
    assert names_of_cases({"b", "a"}, anonymize=True) == {"a": "case 01", "b": "case 02"}
    assert names_of_cases({"b", "a"}, anonymize=False) == {"a": "a", "b": "b"}
    assert names_of_cases(map(str, range(2000)), anonymize=True)["0"] == "case 0001"


def test_a_problem_loses_the_names_of_its_case_and_of_others():
    secrets = Secrets({"Doe Jane": "case 1", "Roe": "case 2"}, {})

    assert secrets.redacted(Problem("Roe", "Roe.nii.gz is that of Doe Jane", "ask Roe")) == Problem(
        "case 2", "a file is that of case 1", "ask case 2"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "sub-01_flair.nii.gz has changed; see /data/sub-02_T1.nii and sub-01",
            "a file has changed; see a file and case 1",
        ),
        ("Doe Jane.nii.gz does not exist", "a file does not exist"),
        ("Doe Jane_FLAIR.NII.GZ and x_doe jane.nii", "a file and a file"),
        ("half-written: Doe Jane_mask.nii.gz, Doe Jane.json not there", "half-written: a file, case 3.json not there"),
        (
            "several scans would be written as Doe Jane-2, not Doe Jane",
            "several scans would be written as case 4, not case 3",
        ),
        ("my old scan.nii is odd", "a file is odd"),
        ("Yıldız and YILDIZ", "a case and case 5"),
        ("it holds 15 voxels, 5 are NaN", "it holds 15 voxels, case 2 are NaN"),
    ],
)
def test_messages_can_lose_their_names(text, shown):
    names = {"sub-01": "case 1", "5": "case 2", "Doe Jane": "case 3", "Doe Jane-2": "case 4", "Yildiz": "case 5"}

    assert Secrets(names, {"my old scan.nii": "a file"}).redact(text) == shown
