import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmccd.data.cohort import read_cohort
from mmccd.data.volumes import new_volume, read_volume, write_volume
from mmccd.errors import GridError
from mmccd.evaluation.case import load_scored_case
from mmccd.evaluation.montage import montage_row, write_montage
from mmccd.figures import frame
from mmccd.prediction.predict import predict
from mmccd.prediction.preview import write_preview


def as_on_windows(path, encoding="cp1252"):
    return path.read_bytes().decode(encoding)


def draw(path, predictions, cohort, cases):
    rows = [montage_row(load_scored_case(predictions, cohort.subject(case))) for case in cases]
    write_montage(path, rows, "Title")


@pytest.fixture(scope="module")
def predictions(detector, phantom_folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("montage")
    predict(detector, [phantom_folder], output, subjects=["Phantom_0007", "Phantom_0006"])
    return output


def test_pictures_of_thick_sagittal_slices_are_drawn_and_framed_in_millimetres(
    detector, lesioned_scan, predictions, tmp_path, drawn
):
    """Pixels of 8 x 4 mm: half as many of them along x fill the same square."""
    folder = tmp_path / "cohort" / "Phantom_0007"
    folder.mkdir(parents=True)
    for kind in ("flair", "seg"):
        fine = read_volume(str(lesioned_scan).replace("flair", kind))
        thick = new_volume(fine.data[::2], fine.affine @ np.diag([2.0, 1, 1, 1]))
        write_volume(folder / f"Phantom_0007_{kind}.nii.gz", thick.data, thick)
    found = detector.detect(folder / "Phantom_0007_flair.nii.gz")
    write_preview(tmp_path / "a.png", "case", "flair", found)
    assert {panel.sides_mm for row in drawn["rows"] for panel in row} == {(8.0, 4.0)}

    found.save(tmp_path, "Phantom_0007")
    shutil.copy(predictions / "Phantom_0007.json", tmp_path)
    draw(tmp_path / "m.png", tmp_path, read_cohort(tmp_path / "cohort"), ["Phantom_0007"])
    (row,) = drawn["rows"]
    assert {panel.sides_mm for panel in row} == {(8.0, 4.0)}
    x, y = row[0].image.shape
    assert 2 * x == pytest.approx(y, abs=2)
    inside = row[0].image > 0
    assert inside.any(axis=1).sum() > 0.5 * x
    z = int(drawn["names"][0].partition("slice ")[2])
    assert inside.sum() == (found.volume.data[:, :, z] > 0).sum()  # nothing of the brain is cut off


def test_montage_shows_the_slice_with_most_lesion(predictions, phantom_folder, tmp_path, drawn):
    cohort = read_cohort(phantom_folder)
    draw(tmp_path / "m.png", predictions, cohort, ["Phantom_0007", "Phantom_0006"])
    lesion = read_volume(phantom_folder / "Phantom_0007" / "Phantom_0007_seg.nii.gz").data > 0
    mask = read_volume(predictions / "Phantom_0007_mask.nii.gz", allow_zero=True).data > 0
    z = lesion.sum(axis=(0, 1)).argmax()
    assert drawn["names"][0] == f"Phantom_0007\nslice {z}"
    assert drawn["title"] == "Title"
    assert drawn["columns"][0] == "scan"
    _, expert, _, marked = drawn["rows"][0]
    assert expert.outlines[0][1].sum() == lesion[:, :, z].sum()
    both = (lesion & mask)[:, :, z].sum()
    total = lesion[:, :, z].sum() + mask[:, :, z].sum()
    assert marked.note == f"Dice {2 * both / total:.2f}"
    assert {panel.image.shape for panel in drawn["rows"][0]} == {expert.image.shape}
    assert drawn["rows"][1][3].note == ""  # a healthy subject has no Dice
    assert not drawn["rows"][1][1].outlines[0][1].any()


def test_each_scan_is_of_the_modality_that_its_record_says(predictions, phantom_folder, tmp_path, drawn):
    folder = shutil.copytree(predictions, tmp_path / "predictions")
    record = json.loads((folder / "Phantom_0006.json").read_text())
    (folder / "Phantom_0006.json").write_text(json.dumps(record | {"source": "t2"}))
    cases = ["Phantom_0007", "Phantom_0006"]

    draw(tmp_path / "m.png", folder, read_cohort(phantom_folder), cases)

    for row, name, case, source in zip(drawn["rows"], drawn["names"], cases, ("flair", "t2"), strict=True):
        scan = read_volume(phantom_folder / case / f"{case}_{source}.nii.gz")
        z = int(name.partition("slice ")[2])
        x, y = frame(scan.data[:, :, z] > 0, scan.spacing_mm[:2])
        np.testing.assert_array_equal(row[0].image, scan.data[x, y, z])


def test_records_are_read_as_utf8_whatever_the_locale(predictions, phantom_folder, tmp_path, monkeypatch, drawn):
    for kind in ("flair", "seg"):
        scan = read_volume(phantom_folder / "Phantom_0007" / f"Phantom_0007_{kind}.nii.gz")
        write_volume(tmp_path / "cohort" / "Müller" / f"Müller_{kind}.nii.gz", scan.data, scan)
    for end in ("_anomaly.nii.gz", "_mask.nii.gz"):
        shutil.copy(predictions / f"Phantom_0007{end}", tmp_path / f"Müller{end}")
    record = json.loads((predictions / "Phantom_0007.json").read_text())
    more = {"case": "Müller", "warnings": ["Müller und Álvarez bewegten sich"]}
    (tmp_path / "Müller.json").write_text(json.dumps(record | more, ensure_ascii=False), encoding="utf-8")
    monkeypatch.setattr(Path, "read_text", as_on_windows)

    draw(tmp_path / "m.png", tmp_path, read_cohort(tmp_path / "cohort"), ["Müller"])

    assert drawn["names"][0].startswith("Müller\n")


def test_a_slice_without_brain_is_framed_as_a_whole():
    assert frame(np.zeros((4, 6), bool), (1.0, 2.0)) == (slice(None), slice(None))


def test_montage_is_a_picture(predictions, phantom_folder, tmp_path):
    draw(tmp_path / "m.png", predictions, read_cohort(phantom_folder), ["Phantom_0007"])
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")


def test_montage_of_another_grid(predictions, phantom_folder, tmp_path):
    cohort = read_cohort(phantom_folder)
    small = new_volume(np.ones((3, 3, 3), np.float32), np.eye(4))
    for kind in ("anomaly", "mask"):
        write_volume(tmp_path / f"Phantom_0007_{kind}.nii.gz", small.data, small)
    shutil.copy(predictions / "Phantom_0007.json", tmp_path)
    with pytest.raises(GridError):
        draw(tmp_path / "m.png", tmp_path, cohort, ["Phantom_0007"])
