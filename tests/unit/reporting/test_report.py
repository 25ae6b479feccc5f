"""`mmccd report` decides by what a folder holds, and says what is wrong where it holds nothing."""

import json
import shutil

import pytest

from mmccd.cli.app import main
from mmccd.errors import ConfigError, DataError, ModelError
from mmccd.model.export import export
from mmccd.reporting.report import report


def test_the_page_is_that_of_what_the_folder_holds(predictions_folder, model_folder, tmp_path):
    pages = []
    for folder in (predictions_folder, model_folder, "builtin:t2"):
        report(type(tmp_path)(folder), tmp_path / "page.html")
        pages.append((tmp_path / "page.html").read_text())

    assert ["Case by case" in page for page in pages] == [True, False, False]
    assert ["Threshold, and what it guarantees" in page for page in pages] == [False, True, True]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path / "nowhere", "does not exist"),
        (lambda path: path, "but nothing"),
        (lambda path: (path / "a.txt").write_text("x") and path, "but a.txt"),
        (lambda path: (path / "a.txt").write_text("x") and path / "a.txt", "is a file, expected a folder or the .zip"),
    ],
)
def test_a_folder_that_holds_nothing_to_show_is_refused(tmp_path, make, said):
    (tmp_path / "in").mkdir()

    with pytest.raises(DataError, match=said) as caught:
        report(make(tmp_path / "in"), tmp_path / "page.html")

    assert "predict" in caught.value.hint


def test_a_package_of_a_model_has_the_page_of_the_model(model_folder, tmp_path):
    export(model_folder, tmp_path / "model.zip")
    pages = []
    for source in (tmp_path / "model.zip", model_folder):
        report(source, tmp_path / "page.html")
        pages.append((tmp_path / "page.html").read_text())

    package, folder = pages
    assert "Threshold, and what it guarantees" in package
    assert "The weights are not in this folder" not in package
    assert package.replace("model.zip", "model") == folder


def test_a_package_of_a_fusion_names_its_members(model_folder, tmp_path):
    card = json.loads((model_folder / "card.json").read_text())
    fused = {key: value for key, value in card.items() if key not in ("config", "weights_sha256", "parameters")}
    shutil.copytree(model_folder, tmp_path / "fused" / "flair", ignore=shutil.ignore_patterns("training"))
    (tmp_path / "fused" / "card.json").write_text(json.dumps(fused | {"members": ["flair"]}))
    export(tmp_path / "fused", tmp_path / "fused.zip")

    report(tmp_path / "fused.zip", tmp_path / "page.html")

    assert card["weights_sha256"][:16] in (tmp_path / "page.html").read_text()


def test_a_zip_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK")

    with pytest.raises(ModelError, match=r"a\.zip is damaged"):
        report(tmp_path / "a.zip", tmp_path / "page.html")


def test_a_page_is_not_written_over_something_else(predictions_folder, tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.html"):
        report(predictions_folder, tmp_path / "summary.csv")


# --- the command ---


def test_the_command_prints_the_page_and_its_exit_code_says_whether_all_is_shown(
    predictions_folder, phantom_folder, tmp_path, capsys
):
    folder, page = shutil.copytree(predictions_folder, tmp_path / "in"), tmp_path / "report.html"
    arguments = ["report", str(folder), "-o", str(page), "--data", str(phantom_folder), "-q"]

    assert main(arguments) == 0
    assert f"page  {page}" in capsys.readouterr().out

    (folder / "Phantom_0006.json").write_text("{")
    assert main(arguments) == 3
    assert "failed: Phantom_0006: Phantom_0006.json is torn" in capsys.readouterr().err

    for case in ("Phantom_0007", "Phantom_0008"):
        record = json.loads((folder / f"{case}.json").read_text())
        (folder / f"{case}.json").write_text(json.dumps(record | {"score": None}))
    assert main(arguments) == 4
    assert page.read_text().count("is damaged: score: Input should be a valid number") == 2


def test_the_command_says_where_further_cases_are(predictions_folder, tmp_path, capsys):
    page = tmp_path / "page.html"
    arguments = ["report", str(predictions_folder), "-o", str(page), "--cases-per-page", "2", "--workers", "1", "-q"]

    assert main(arguments) == 0

    assert f"1 page of further cases in {tmp_path / 'page_pages'}" in capsys.readouterr().out
    assert main([*arguments, "--max-mb", "1", "--no-viewer"]) == 0
    assert main([*arguments[:-5], "--cases-per-page", "0"]) == 2


def test_the_command_fails_in_words(tmp_path, capsys):
    assert main(["report", str(tmp_path / "nowhere"), "-o", str(tmp_path / "a.html")]) == 4
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "a.txt")]) == 2

    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"] * 2
    assert not (tmp_path / "a.html").exists()
