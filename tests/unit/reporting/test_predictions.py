"""The page of a folder of predictions: what it shows, what it says, what it leaves out."""

import base64
import gzip
import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest

from mmccd.data.case_record import read_case_record
from mmccd.errors import DataError, ModelError
from mmccd.reporting.case import MOST_FINDINGS, view_of
from mmccd.reporting.listing import read_predictions
from mmccd.reporting.predictions import Settings, report_predictions
from mmccd.reporting.scans import Scans, load_shown

CASES = ("Phantom_0006", "Phantom_0007", "Phantom_0008")


@pytest.fixture
def folder(predictions_folder, tmp_path):
    return shutil.copytree(predictions_folder, tmp_path / "predictions")


@pytest.fixture
def write(folder, tmp_path):
    """Write the page of the folder; what came of it, and its text."""

    def call(**settings):
        output = tmp_path / "report.html"
        written = report_predictions(folder, output, Settings(**settings))
        assert written.size == output.stat().st_size
        return written, output.read_text()

    return call


@pytest.fixture(scope="module")
def whole(predictions_folder, phantom_folder, model_folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("page") / "report.html"
    settings = Settings(scans=(phantom_folder,), model=model_folder)
    return report_predictions(predictions_folder, output, settings), output.read_text()


def article(page, case):
    return next(part for part in page.split("<article")[1:] if f">{case}</h3>" in part).partition("</article>")[0]


def embedded(page, key, kind):
    text = re.search(rf'<script type="text/plain" id="{key}-{kind}">([^<]*)<', page)[1]
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def test_each_case_has_planes_numbers_words_and_a_viewer(whole, predictions_folder):
    written, page = whole

    assert (written.cases, written.problems) == (3, {})
    for case in CASES:
        record = json.loads((predictions_folder / f"{case}.json").read_text())
        shown = article(page, case)
        assert shown.count("<image ") == 6
        for plane in ("axial", "coronal", "sagittal"):
            assert f'aria-label="{plane} slice of the FLAIR scan' in shown
        assert f"<b>{record['score']:.3g}</b> score" in shown
        assert 'class="button open-viewer"' in shown
        for warning in record["warnings"]:
            assert warning in shown
    assert article(page, "Phantom_0007").count('class="expert"') == 3
    assert 'class="expert"' not in article(page, "Phantom_0006")


def test_findings_are_those_of_the_record(predictions_folder, phantom_folder):
    scans = Scans.found_in([phantom_folder], "flair")
    for case in read_predictions(predictions_folder).cases:
        record = read_case_record(predictions_folder / f"{case}.json")
        shown = load_shown(predictions_folder, record, scans.of(case, record.origin))
        view = view_of(case, "case-1", record, shown)
        assert view.count == len(record.findings)
        assert view.findings == record.findings[:MOST_FINDINGS]


def test_a_place_in_mni_space_is_said_to_be_there(folder, write):
    _, page = write()
    assert "mm in the scanner (right" in page
    assert "mm in MNI space" not in page
    for path in folder.glob("*.nii.gz"):
        image = nib.load(path)
        image.set_sform(image.affine, 4)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)
    _, page = write()
    assert "mm in MNI space (right" in page
    assert "mm in the scanner (right" not in page


def test_the_smallest_finding_is_said(folder, write):
    _, usual = write()
    assert "were removed" not in usual
    for path in folder.glob("Phantom_*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"min_lesion_ml": 0.25}))
    mask = folder / "Phantom_0006_mask.nii.gz"
    image = nib.load(mask)
    nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), None, image.header), mask)
    _, page = write()
    assert "Nothing of 0.25 ml or more lies above the threshold." in article(page, "Phantom_0006")
    assert "Parts smaller than 0.25 ml were removed; the map still shows them." in article(page, CASES[1])
    assert "Parts smaller than 0.25 ml were removed from the masks: less is marked" in page
    _, page = write(viewer=False)
    assert "were removed; the map still shows them." in article(page, CASES[1])


def test_a_relative_threshold_is_shown_as_what_is_added_to_each_scans_level(folder, write, model_folder):
    origin = json.loads((model_folder / "card.json").read_text())["relative_threshold"] | {"value": 1.25}
    _, usual = write()
    assert "level + " not in usual
    for path in folder.glob("Phantom_*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"threshold": 2.5, "threshold_origin": origin}))
    _, page = write()
    assert "level + 1.25" in page
    assert page.count("white line: threshold, 2.5") == 3


def test_p_values_are_put_into_words_with_what_few_references_cannot_show(whole):
    _, page = whole

    # One healthy reference subject: its rank is all that can be said.
    words = re.findall(r"<p>(Scores higher [^<]*)</p>", page)
    assert len(words) == 3
    for text in words:
        if "higher than all" in text:
            assert "With 1 of them p cannot be smaller than 0.5." in text
        else:
            assert "higher than 0 of 1" in text
            assert "does not set this scan apart" in text


def test_of_one_scan_the_page_speaks_in_the_singular(write, folder):
    for case in CASES[1:]:
        for path in folder.glob(f"{case}*"):
            path.unlink()
    (folder / "summary.csv").unlink()
    record = json.loads((folder / f"{CASES[0]}.json").read_text())
    _, page = write()
    lead = " ".join(page.split('class="lead">')[1].partition("</p>")[0].split())
    beyond = record["p_value"] <= 1 / (record["p_value_of"]["healthy_subjects"] + 1)
    words = "higher than every healthy reference subject" if beyond else "no higher than healthy reference subjects may"
    assert lead == f"It scores {words}. {'Tissue is marked.' if record['findings'] else 'Nothing is marked.'}"


def test_only_the_brain_is_in_the_page(whole, phantom_folder):
    _, page = whole
    for key in re.findall(r'data-case="([^"]*)"', page):
        case = re.search(rf'id="{key}-title">([^<]*)<', page)[1]
        scan = nib.load(phantom_folder / case / f"{case}_flair.nii.gz").get_fdata()
        stored = embedded(page, key, "scan")
        assert int((np.asarray(stored.dataobj) > 0).sum()) == int((scan > 0).sum())
        assert stored.header["descrip"].tobytes().strip(b"\0") == b""


def test_methods_are_those_of_the_model(whole):
    _, page = whole

    assert "Methods, ready to paste" in page
    assert "trained for 4 steps" in page
    methods = page.partition('id="methods"')[2]
    assert "by the Cyclic U-Net through T2" in methods
    assert "2308.16150" in methods  # the paper that has both
    assert "(MMCCD)" not in methods  # which was not run
    assert "2010.02502" not in methods


def test_pages_are_the_same_each_time(whole, predictions_folder, phantom_folder, model_folder, tmp_path):
    settings = Settings(scans=(phantom_folder,), model=model_folder)
    report_predictions(predictions_folder, tmp_path / "again.html", settings)

    assert (tmp_path / "again.html").read_text() == whole[1]


def test_no_path_of_this_machine_is_in_the_page(whole, phantom_folder, predictions_folder):
    for folder in (phantom_folder, predictions_folder):
        assert str(folder) not in whole[1]
        assert str(folder.parent) not in whole[1]


def test_without_scans_maps_are_shown_and_the_remedy_is_said(write):
    written, page = write()

    assert (written.cases, written.problems) == (3, {})
    assert "--scans SCANS" in page
    assert article(page, CASES[0]).count("<image ") == 3
    assert embedded(page, "case-1", "map").get_fdata().max() > 0


def test_what_is_torn_or_failed_is_listed_and_the_rest_is_shown(write, folder, phantom_folder):
    (folder / "Phantom_0006.json").write_text("{")
    (folder / "Phantom_0007_anomaly.nii.gz").write_bytes(b"\x1f\x8b torn")
    with (folder / "summary.csv").open("a") as stream:
        stream.write("lost,failed,,,,,,,,it is zero everywhere,check the step that wrote it\n")

    written, page = write(scans=(phantom_folder,))

    assert written.cases == 1
    assert sorted(written.problems) == ["Phantom_0006", "Phantom_0007"]
    missing = page.partition('<section id="missing"')[2].partition("</section>")[0]
    assert "Phantom_0006.json is torn" in missing
    assert "Phantom_0007_anomaly.nii.gz cannot be read in full" in missing
    assert "check the step that wrote it" in missing
    assert "Phantom_0008" in page
    assert "Phantom_0008" not in missing


def test_a_scan_that_moved_is_said_with_its_case(write, folder, phantom_folder, tmp_path):
    some = tmp_path / "some"
    shutil.copytree(phantom_folder / "Phantom_0008", some / "Phantom_0008")

    written, page = write(scans=(some,))

    assert written.cases == 3
    assert sorted(written.problems) == ["Phantom_0006", "Phantom_0007"]
    assert "it has moved" in article(page, "Phantom_0006")
    assert article(page, "Phantom_0006").count("<image ") == 3
    assert article(page, "Phantom_0008").count("<image ") == 6


def test_cases_can_be_numbered_instead_of_named(write, folder, phantom_folder):
    (folder / "Phantom_0006.json").write_text("{")
    record = json.loads((folder / "Phantom_0007.json").read_text())
    record["warnings"] = ["Phantom_0007_flair.nii.gz is odd"]
    (folder / "Phantom_0007.json").write_text(json.dumps(record))
    with (folder / "summary.csv").open("a") as stream:
        stream.write("JaneDoe,failed,,,,,,,,/home/x/JaneDoe_flair.nii.gz is torn,copy it\n")
        stream.write("Roemer Maryann,failed,,,,,,,,Roemer Maryann.NII.GZ is torn; so is that of JaneDoe,copy it\n")

    written, page = write(scans=(phantom_folder,), anonymize=True)

    assert "Phantom_000" not in page
    for name in ("JaneDoe", "Roemer", "Maryann"):
        assert name not in page
    assert set(written.problems) == {"case 02"}
    assert "a file is odd" in article(page, "case 03")


def test_no_problem_and_no_progress_names_a_numbered_case(folder, phantom_folder, tmp_path):
    """Neither a scan that moved, nor one that changed, nor a map or an expert mask that is torn."""
    scans, told = tmp_path / "scans", []
    for case in ("Phantom_0007", "Phantom_0008"):
        shutil.copytree(phantom_folder / case, scans / case)
    (scans / "Phantom_0007" / "Phantom_0007_seg.nii.gz").write_bytes(b"torn")
    shutil.copy(
        scans / "Phantom_0007" / "Phantom_0007_flair.nii.gz", scans / "Phantom_0008" / "Phantom_0008_flair.nii.gz"
    )
    record = json.loads((folder / "Phantom_0006.json").read_text()) | {"case": "Phantom_0009"}
    (folder / "Phantom_0009.json").write_text(json.dumps(record))
    for end in ("anomaly", "mask"):
        (folder / f"Phantom_0009_{end}.nii.gz").write_bytes(b"\x1f\x8b torn")

    written = report_predictions(
        folder,
        tmp_path / "page.html",
        Settings(scans=(scans,), anonymize=True),
        progress=lambda *what: told.append(what),
    )

    page = (tmp_path / "page.html").read_text()
    assert "Phantom_" not in page + str(written.problems) + str(told)
    assert written.cases == 3
    assert set(written.problems) == {"case 01", "case 02", "case 03", "case 04"}
    assert "it has moved" in article(page, "case 01")
    assert "no expert mask is shown: a file" in article(page, "case 02")
    assert "has changed since it was predicted" in article(page, "case 03")
    assert "a file cannot be read in full" in page.partition('<section id="missing"')[2]


def test_viewers_can_be_left_out(write, phantom_folder):
    written, page = write(scans=(phantom_folder,), viewer=False)

    assert 'class="button open-viewer"' not in page
    assert "No viewer" not in page
    assert written.size < 1.5e6


def test_a_case_of_another_model_is_not_compared(write, folder):
    record = json.loads((folder / "Phantom_0007.json").read_text())
    record["origin"]["model"] = "0" * 64
    (folder / "Phantom_0007.json").write_text(json.dumps(record))

    _, page = write()

    assert "scored by another model" in article(page, "Phantom_0007")
    assert "scored by another model" not in article(page, "Phantom_0006")
    assert "Phantom_0007" not in page.partition('<svg class="chart"')[2].partition("</svg>")[0]


def test_an_old_record_without_healthy_scores_asks_for_the_model(write, folder):
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text())
        del record["p_value_of"]["healthy_scores"]
        path.write_text(json.dumps(record))

    _, page = write()

    assert "--model MODEL" in page


def test_another_model_is_refused(write, tmp_path):
    with pytest.raises(DataError, match="not the model"):
        write(model="builtin:flair")
    with pytest.raises(ModelError, match="is not a model"):
        write(model=tmp_path)


def test_a_folder_in_which_everything_failed_still_gives_a_page(write, folder):
    for path in folder.glob("Phantom*"):
        path.unlink()
    (folder / "summary.csv").write_text("case,status,error,hint\nlost,failed,it does not exist,check the path\n")

    written, page = write()

    assert written.cases == 0
    assert "check the path" in page
