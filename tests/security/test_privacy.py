"""A name planted in every place of a scan's header, and the folder that it lies in, are in no file that is written."""

import gzip
import json
import platform
import shutil
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mmccd.cli.app import main

NAME = "DOE^JANE"
FOLDER = "Doe_Jane_19700101"
SUBJECT = "PatientZero"


def contents(folder):
    """Every file, whatever is compressed in it also as it was."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield from layers(str(path.relative_to(folder)), path.read_bytes())


def layers(name, content):
    yield name, content
    if content[:2] == b"\x1f\x8b":
        yield from layers(f"{name}, unpacked", gzip.decompress(content))
    elif content[:4] == b"PK\3\4":
        with zipfile.ZipFile(BytesIO(content)) as package:
            for entry in package.namelist():
                yield from layers(f"{name}, {entry}", package.read(entry))
    elif content.startswith(b"\x89PNG"):
        position = 8
        while position < len(content):
            size = int.from_bytes(content[position : position + 4])
            chunk, data = content[position + 4 : position + 8], content[position + 8 : position + 8 + size]
            if chunk in (b"zTXt", b"iTXt", b"eXIf"):
                yield f"{name}, {chunk!r}", data + zlib.decompress(data.split(b"\0", 1)[1][1:]) * (chunk == b"zTXt")
            position += size + 12


def found_in(folder, secret):
    """Files of a folder that hold a text, in their content or in their names."""
    forms = [secret.encode(), secret.encode("utf-16-le"), json.dumps(secret)[1:-1].encode(), secret.lower().encode()]
    inside = {name for name, content in contents(folder) if any(form in content for form in forms)}
    return inside | {str(path.relative_to(folder)) for path in folder.rglob("*") if secret in path.name}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return tmp_path_factory.mktemp("privacy")


@pytest.fixture(scope="module")
def data(here, phantom_folder):
    """The phantom cohort with names in all headers; one subject has a name for its id."""
    cohort = here / FOLDER / "data"
    shutil.copytree(phantom_folder, cohort, ignore=shutil.ignore_patterns("*.txt", "*.json"))
    for path in cohort.rglob("*.nii.gz"):
        image = nib.load(path)
        for field in ("descrip", "db_name", "aux_file", "intent_name"):
            image.header[field] = NAME.encode()
        for kind in ("comment", "dicom", "workflow_fwds"):
            content = f"PatientName={NAME}".encode()
            image.header.extensions.append(nib.nifti1.Nifti1Extension(4 if kind == "dicom" else kind, content))
        nib.save(image, path)
    for old in ("Phantom_0008",):
        for path in (cohort / old).iterdir():
            path.rename(path.with_name(path.name.replace(old, SUBJECT)))
        (cohort / old).rename(cohort / SUBJECT)
        split = cohort / "split.csv"
        split.write_text(split.read_text().replace(old, SUBJECT))
    return cohort


@pytest.fixture(scope="module")
def written(here, data, toy_settings, inline_executor):
    """All that the commands write of this cohort; some scans cannot be used."""
    out = here / "out"
    settings = [part for key, value in toy_settings.items() for part in ("--set", f"{key}={value}")]
    bad = here / FOLDER / "bad"
    bad.mkdir()
    scan = next(data.glob("*/*_flair.nii.gz")).read_bytes()
    (bad / "cut.nii.gz").write_bytes(scan[: len(scan) // 2])
    (bad / "dangling.nii.gz").symlink_to(bad / "nowhere")
    (bad / "good.nii.gz").write_bytes(scan)
    manifest = here / FOLDER / "scans.csv"
    manifest.write_text(f"subject,flair\ngood,{bad / 'good.nii.gz'}\ngone,{bad / 'gone.nii.gz'}\n")

    def run(*arguments, code=0):
        assert main([str(argument) for argument in arguments]) == code

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmccd.system.workers.ProcessPoolExecutor", inline_executor)
        run("prepare", data, out / "store", "--size", 64, "--modalities", "flair,t2", "-q")
    run("train", out / "store", out / "model", "--config", "tiny", *settings, "--device", "cpu", "-q")
    run("calibrate", out / "model", out / "store", out / "sharper", "--set", "scoring.error=tail", "--device", "cpu")
    run("predict", out / "sharper", data, "-o", out / "results", "--split", data / "split.csv", "--device", "cpu", "-q")
    run("predict", out / "model", *sorted(bad.iterdir()), "-o", out / "bad", "--device", "cpu", "-q", code=3)
    run("predict", out / "model", manifest, "-o", out / "manifest", "--device", "cpu", "-q", code=3)
    run("evaluate", out / "results", data, "-o", out / "tables", "--resamples", 100, "-q")
    run("export", out / "model", out / "model.zip")
    return out


def test_the_search_finds_what_is_there(data, tmp_path):
    """Or else the tests below could not fail."""
    names = found_in(data, NAME)
    assert len([name for name in names if name.endswith(".nii.gz, unpacked")]) == len(list(data.rglob("*.nii.gz")))
    with zipfile.ZipFile(tmp_path / "a.ckpt", "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("data.pkl", NAME)
    (tmp_path / NAME).write_text("")
    assert found_in(tmp_path, NAME) == {"a.ckpt, data.pkl", NAME}


def test_every_command_wrote_something(written):
    kinds = {path.suffix for path in written.rglob("*") if path.is_file()}
    assert kinds >= {".npy", ".csv", ".json", ".ckpt", ".safetensors", ".png", ".gz", ".md", ".yaml", ".zip"}
    assert list(written.rglob("events.out.tfevents*"))
    assert {path.name for path in written.iterdir()} >= {"store", "model", "sharper", "results", "tables", "bad"}


def test_no_file_holds_a_name_of_a_header(written):
    assert found_in(written, NAME) == set()
    assert found_in(written, "PatientName") == set()


def test_no_file_holds_a_place(written, here):
    assert found_in(written, FOLDER) == set()
    assert found_in(written, str(here)) == set()
    assert found_in(written, str(Path.home()) + "/") == set()


@pytest.mark.slow
def test_a_benchmark_holds_neither(written, toy_settings, here):
    bench = here / "out" / "bench"
    settings = [part for key, value in toy_settings.items() for part in ("--set", f"{key}={value}")]
    only = [
        "--methods",
        "dae",
        "--sources",
        "flair",
        "--no-paper-sampler",
        "--set",
        "training.steps=1",
        "--device",
        "cpu",
    ]
    assert main(["benchmark", str(written / "store"), str(bench), *settings, *only, "-q"]) == 0
    assert (bench / "RESULTS.md").is_file()
    for secret in (NAME, FOLDER, str(here)):
        assert found_in(bench, secret) == set()


def test_no_content_names_this_machine(written):
    """But names of TensorBoard's files do, which is why `training/` is not for sharing."""
    host = platform.node()
    if len(host) < 4:
        pytest.skip("the name of this machine is too short to look for")
    secret = host.encode()
    holders = {name for name, content in contents(written) if secret in content}
    assert {name for name in holders if "tfevents" not in name} == set()


def test_a_case_that_cannot_be_used_is_explained_without_its_place(written):
    summary = (written / "bad" / "summary.csv").read_text()
    assert "cut.nii.gz cannot be read in full" in summary
    assert "dangling.nii.gz does not exist" in summary
    assert "gone.nii.gz does not exist" in (written / "manifest" / "summary.csv").read_text()


def test_headers_of_results_are_blank(written):
    paths = list(written.rglob("*.nii.gz"))
    assert len(paths) >= 4
    for path in paths:
        header = nib.load(path).header
        assert [bytes(header[field]).strip(b"\0") for field in ("descrip", "aux_file", "intent_name", "db_name")] == [
            b"", b"", b"", b""
        ]  # fmt: skip
        assert len(header.extensions) == 0


# --- names of cases ---


@pytest.fixture(scope="module")
def anonymous(written, data, here):
    key, output = here / "private" / "names.json", here / "anonymous"
    cut = here / FOLDER / "bad" / f"{SUBJECT}_2.nii.gz"
    shutil.copy(here / FOLDER / "bad" / "cut.nii.gz", cut)
    wrong = here / FOLDER / "bad" / f"{SUBJECT}_t2.nii.gz"
    shutil.copy(here / FOLDER / "bad" / "cut.nii.gz", wrong)
    model = str(written / "sharper")
    scan = data / SUBJECT / f"{SUBJECT}_flair.nii.gz"
    doubtful = here / FOLDER / "bad" / f"{SUBJECT}_3.nii.gz"
    image = nib.load(scan)
    image.header["qform_code"] = image.header["sform_code"] = 0  # said in a warning, with the name of the file
    nib.save(nib.Nifti1Image(image.dataobj, None, image.header), doubtful)
    inputs = [str(path) for path in (scan, cut, wrong, doubtful)]
    predict = ["predict", model, *inputs, "-o", str(output), "-q", "--device", "cpu"]
    assert main([*predict, "--anonymize", str(key)]) == 3
    return key, output, predict


def test_results_have_random_names_and_hold_no_other(anonymous):
    key, output, _ = anonymous
    names = json.loads(key.read_text())
    assert set(names) == {f"{SUBJECT}_flair", f"{SUBJECT}_2", f"{SUBJECT}_t2", f"{SUBJECT}_3"}
    assert found_in(output, SUBJECT) == set()
    good, doubtful = names[f"{SUBJECT}_flair"], names[f"{SUBJECT}_3"]
    for case in (good, doubtful):
        assert json.loads((output / f"{case}.json").read_text())["case"] == case
    ends = (".json", ".png", "_anomaly.nii.gz", "_mask.nii.gz")
    expected = {f"{case}{end}" for case in (good, doubtful) for end in ends} | {"findings.csv", "summary.csv"}
    assert {path.name for path in output.iterdir()} == expected
    summary = (output / "summary.csv").read_text()
    assert "cannot be read in full" in summary
    assert f"{doubtful} (scan) does not say how it lies" in summary
    found = (output / "findings.csv").read_text().splitlines()[1:]
    assert {row.split(",")[0] for row in found} <= {good, doubtful}


def test_what_is_printed_names_nobody(anonymous, capsys):
    key, _, predict = anonymous
    assert main([*predict, "--anonymize", str(key)]) == 3
    printed = capsys.readouterr()
    assert SUBJECT not in printed.out + printed.err
    assert "kept" in printed.out  # the same names as before


def test_the_same_key_for_another_model_and_the_experts_masks(anonymous, written, data, here, capsys):
    key, tables = here / "private" / "cohort.json", here / "tables"
    output = here / "cohort"
    split = ["--split", str(data / "split.csv"), "--device", "cpu", "-q", "--anonymize", str(key)]
    assert main(["predict", str(written / "sharper"), str(data), "-o", str(output), *split]) == 0
    evaluate = ["evaluate", str(output), str(data), "-o", str(tables), "--resamples", "100", "-q"]
    assert main([*evaluate, "--anonymize", str(key)]) == 0
    assert SUBJECT not in capsys.readouterr().out
    assert found_in(tables, SUBJECT) == found_in(output, SUBJECT) == set()
    known = {row.split(",")[0] for row in (written / "tables" / "metrics.csv").read_text().splitlines()[1:]}
    hidden = {row.split(",")[0] for row in (tables / "metrics.csv").read_text().splitlines()[1:]}
    names = json.loads(key.read_text())
    assert {names[case] for case in known} == hidden
    assert main(["evaluate", str(output), str(data), "-o", str(here / "none"), "-q"]) == 4  # without the key


def test_a_report_of_random_names_names_nobody_whose_expert_mask_is_doubted(anonymous, data, here):
    _, output, _ = anonymous
    cohort, page = here / FOLDER / "doubted", here / "report.html"
    shutil.copytree(data, cohort)
    outlined = cohort / SUBJECT / f"{SUBJECT}_seg.nii.gz"
    image = nib.load(outlined)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[:-1], image.affine), outlined)
    assert main(["report", str(output), "-o", str(page), "--data", str(cohort), "--no-viewer", "-q"]) == 3
    text = page.read_text()
    assert "no expert mask is shown" in text
    assert SUBJECT not in text


def test_the_order_of_results_is_not_that_of_the_names(anonymous):
    _, output, _ = anonymous
    cases = [line.split(",")[0] for line in (output / "summary.csv").read_text().splitlines()[1:]]
    assert cases == sorted(cases)


def test_a_key_among_the_results_is_refused(anonymous, capsys):
    _, output, predict = anonymous
    assert main([*predict, "--anonymize", str(output / "names.json")]) == 2
    assert "lies among the results" in capsys.readouterr().err
