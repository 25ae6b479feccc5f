"""Code hidden in scans, tables, earlier results and benchmarks: never run, and refused where it is no data."""

import gzip
import json
import pickle
import shutil
import struct

import nibabel as nib
import numpy as np
import pytest
from payloads import FINE, NONE_WORKED, USAGE, Trap, assert_it_runs, two_payloads

from mmccd.cli.app import main
from mmccd.data.cohort import read_cohort
from mmccd.data.volumes import read_volume

# --- scans, tables and earlier results ---


def test_extension_of_a_scan(healthy_scan, detector, model, marker, tmp_path):
    """NIfTI has a number, 16, for extensions that are pickles."""
    path = tmp_path / "evil.nii.gz"
    image = nib.load(healthy_scan)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("pypickle", pickle.dumps(Trap(marker))))
    nib.save(image, path)
    content = gzip.decompress(path.read_bytes())
    size, number = struct.unpack_from("<ii", content, 352)
    assert number == 16
    pickle.loads(content[360 : 352 + size])
    assert_it_runs(marker)

    np.testing.assert_array_equal(read_volume(path).data, read_volume(healthy_scan).data)
    assert detector.detect(path).score == detector.detect(healthy_scan).score
    assert main(["predict", str(model), str(path), "-o", str(tmp_path / "out"), "-q", "--device", "cpu"]) == FINE
    assert not marker.exists()


@two_payloads
def test_scan(write, marker, model, refused, tmp_path):
    for name in ("evil.nii.gz", "evil.nii"):
        write(Trap(marker), tmp_path / name)
        refused("predict", model, tmp_path / name, "-o", tmp_path / "out", "-q", code=NONE_WORKED)
        assert f"{name} " in (tmp_path / "out" / "summary.csv").read_text()


@two_payloads
def test_manifest_and_split(write, marker, model, phantom_folder, refused, tmp_path):
    write(Trap(marker), tmp_path / "evil.csv")
    refused("validate", tmp_path / "evil.csv", code=NONE_WORKED)
    refused("prepare", phantom_folder, tmp_path / "new", "--split", tmp_path / "evil.csv", code=NONE_WORKED)
    refused("predict", model, tmp_path / "evil.csv", "-o", tmp_path / "out", code=NONE_WORKED)


@pytest.mark.parametrize("name", ["../escaped", "..", "a/../../escaped", "/escaped", "a\\..\\escaped"])
def test_subject_that_is_a_path(name, model, healthy_scan, refused, tmp_path):
    output = tmp_path / "results" / "deep"
    manifest = tmp_path / "scans.csv"
    manifest.write_text(f"subject,flair\n{name},{healthy_scan}\n")
    before = sorted(tmp_path.rglob("*"))
    error = refused("predict", model, manifest, "-o", output, "-q", code=NONE_WORKED)
    assert "not safe as a file name" in error
    made = set(tmp_path.rglob("*")) - set(before)
    assert made == {tmp_path / "results", output, output / "findings.csv", output / "summary.csv"}


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1+1", "@SUM(1+1)", "=cmd!A1"])
def test_subject_that_is_a_formula(name, model, healthy_scan, capsys, tmp_path):
    """A spreadsheet runs a cell that begins with one of these signs, so no cell of a table does."""
    manifest = tmp_path / "scans.csv"
    manifest.write_text(f"subject,flair\n{name},{healthy_scan}\n")
    assert [subject.id for subject in read_cohort(manifest).subjects] == [name]
    assert main(["predict", str(model), str(manifest), "-o", str(tmp_path / "out"), "-q", "--device", "cpu"]) == FINE
    capsys.readouterr()
    for path in tmp_path.joinpath("out").glob("*.csv"):
        for line in path.read_text().splitlines():
            assert not any(cell.strip('"').startswith(("=", "+", "@")) for cell in line.split(",")), line
    assert (tmp_path / "out" / f"{name}.json").is_file()


@two_payloads
def test_record_of_an_earlier_prediction(write, model, marker, healthy_scan, lesioned_scan, phantom_folder, capsys,
                                         refused, tmp_path):  # fmt: skip
    output = tmp_path / "out"
    scans = shutil.copytree(phantom_folder / "Phantom_0007", tmp_path / "scans" / "Phantom_0007").parent
    predict = ["predict", str(model), str(scans), "-o", str(output), "-q", "--device", "cpu"]
    assert main(predict) == FINE
    capsys.readouterr()
    write(Trap(marker), output / "Phantom_0007.json")
    planted = (output / "Phantom_0007.json").read_bytes()
    error = refused(*predict, code=NONE_WORKED)
    assert "no record of `mmccd predict` says that it is a result" in error
    assert (output / "Phantom_0007.json").read_bytes() == planted  # whoever wrote it, it is not ours to remove
    refused("evaluate", output, scans, "-o", tmp_path / "tables", "-q", code=NONE_WORKED)


@pytest.mark.parametrize("text", ["[]", "3", '"text"', "null", '{"origin": 1, "case": "../../x"}', "{}"])
def test_record_that_is_no_record(text, model, lesioned_scan, refused, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    record = output / "Phantom_0007_flair.json"
    record.write_text(text)
    error = refused("predict", model, lesioned_scan, "-o", output, "-q", code=NONE_WORKED)
    assert "Phantom_0007_flair.json: already there, and no record of `mmccd predict`" in error
    assert record.read_text() == text


# --- benchmarks ---

BENCHMARK = ("--methods", "dae", "--sources", "flair", "--no-paper-sampler", "--device", "cpu", "-q")


@pytest.fixture(scope="module")
def benchmarked(store_of_three, toy_settings, tmp_path_factory):
    """A miniature benchmark by the command, and the command."""
    output = tmp_path_factory.mktemp("benchmark") / "out"
    changes = toy_settings | {"training.steps": 1, "training.batch_size": 2}
    settings = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    command = ["benchmark", str(store_of_three.path), str(output), *BENCHMARK, *settings]
    assert main(command) == FINE
    return output, command


@pytest.fixture
def copied(benchmarked, tmp_path):
    output, command = benchmarked
    copy = shutil.copytree(output, tmp_path / "bench")
    return copy, [str(copy) if part == str(output) else part for part in command]


@two_payloads
def test_settings_of_a_benchmark(write, copied, marker, refused):
    output, command = copied
    write(Trap(marker), output / "settings.json")
    assert "settings.json" in refused(*command, code=USAGE)


@two_payloads
def test_records_and_maps_of_a_benchmark(write, copied, marker):
    output, command = copied
    before = (output / "results.csv").read_text()
    record = output / "scores" / "flair" / "intensity.json"
    kept = json.loads(record.read_text())
    write(Trap(marker), record)
    assert main(command) == FINE  # done again
    assert (output / "results.csv").read_text() == before
    assert json.loads(record.read_text())["rows"] == kept["rows"]
    write(Trap(marker), record.with_suffix(".npy"))
    assert main(command) == FINE
    assert (output / "results.csv").read_text() == before
    assert not marker.exists()
