"""`mmccd-bids`, in this process: its levels, what it refuses, and what it teaches."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from mmccd.cli.bids_app import main, parser
from mmccd.prediction.bids import PAGE, PAGES
from mmccd.reporting.beside import pages_of
from mmccd.version import __version__


@pytest.fixture
def run(running):
    """Run a level."""
    return running(main)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def dataset(bids_folder, tmp_path):
    return shutil.copytree(bids_folder, tmp_path / "dataset")


def test_participants_one_by_one_then_all_of_them(run, dataset, output, model_folder):
    model = ("--model", model_folder, "--device", "cpu", "-q")
    code, out, error = run(dataset, output, "participant", "--participant-label", "sub-01", *model)
    assert (code, error) == (0, "")
    assert "sub-02" not in out
    assert out.endswith(f"summary  {output / 'sourcedata' / 'mmccd' / 'summary.csv'}\n")
    assert not (output / "sub-02").exists()

    code, out, _ = run(dataset, output, "participant", "--session_label", "a", "--skip_bids_validator", *model)
    assert code == 0
    assert out.startswith("--skip-bids-validation changes nothing")
    assert "sub-01" not in out
    assert (output / "sub-02" / "ses-a" / "anat" / "sub-02_ses-a_run-1_label-lesion_mask.json").is_file()

    code, out, error = run(dataset, output, "group", "-q")
    assert (code, error) == (0, "")
    assert f"table  {output / 'summary.tsv'}" in out
    rows = [line.split("\t")[:3] for line in (output / "summary.tsv").read_text().splitlines()]
    assert rows == [["participant_id", "session_id", "status"], ["sub-01", "n/a", "done"], ["sub-02", "ses-a", "done"]]
    assert "sub-02_ses-a" in (output / "report.html").read_text()


def test_validators_are_told_of_the_pages_beside_the_page():
    assert pages_of(Path(PAGE)).name == PAGES


def test_one_that_fails_does_not_stop_the_others(run, dataset, output, model_folder):
    (dataset / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz").write_bytes(b"broken")
    code, _, error = run(dataset, output, "participant", "--model", model_folder, "--device", "cpu", "-q")
    assert code == 3
    assert error.startswith("failed: sub-01: ")
    assert (output / "sub-02").is_dir()


@pytest.mark.parametrize(
    ("arguments", "said", "expected"),
    [
        ((), "the following arguments are required: BIDS_DIR, OUT, analysis_level", 2),
        (("DATA", "OUT", "all"), "invalid choice: 'all'", 2),
        (("DATA", "OUT", "participant", "--nope"), "unrecognized arguments: --nope", 2),
        (("DATA", "OUT", "participant", "--batch-size", "0"), "--batch-size is 0, expected at least 1", 2),
        (("DATA", "OUT", "participant", "--participant-label", "07"), "not in the dataset, which has 01, 02", 2),
        (("DATA", "OUT", "participant", "--select", "run"), "is not of the form ENTITY=VALUE", 2),
        (("DATA", "OUT", "participant", "--strip", "no"), "strip", 2),
        (("DATA", "OUT", "group", "--session-label", "a"), "group takes all that was scored", 2),
        (("DATA", "OUT", "group"), "holds no results of participants", 4),
        (("OUT", "OUT", "participant"), "does not exist", 4),
    ],
)
def test_what_does_not_fit_is_one_line_of_error_and_one_of_hint(
    run, check_error, bids_folder, output, arguments, said, expected
):
    places = {"DATA": bids_folder, "OUT": output}
    code, out, error = run(*(places.get(argument, argument) for argument in arguments))
    assert (code, out) == (expected, "")
    assert said in check_error(error)
    assert not output.exists()


def test_help_and_version(run):
    code, out, error = run("--help")
    assert (code, error) == (0, "")
    assert "participant  scores the scans" in out
    assert run("--version") == (0, f"mmccd-bids {__version__}\n", "")


def test_the_examples_of_the_help_are_understood():
    examples = re.findall(r"^ +mmccd-bids (.+)$", parser().format_help(), re.MULTILINE)
    examples = [example for example in examples if example.startswith("/")]
    assert len(examples) == 4
    asked = [parser().parse_args(shlex.split(example)) for example in examples]
    assert [one.analysis_level for one in asked] == ["participant", "participant", "participant", "group"]
    assert (asked[1].participant_label, asked[1].session_label) == (["01", "02"], ["pre"])
    assert asked[2].select == ["run=1", "acq=highres"]
