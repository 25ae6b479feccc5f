"""Pictures of a benchmark: that they show what was scored."""

import numpy as np
import pandas as pd
import pytest

from mmccd.comparison import pictures
from mmccd.comparison.pictures import thirds, write_curves, write_montage, write_sizes
from mmccd.comparison.record import record_path
from mmccd.comparison.scores import score_volumes


@pytest.fixture
def drawn(monkeypatch):
    """What the montage would show."""
    seen = {}
    monkeypatch.setattr(pictures, "grid_png", lambda rows, **labels: seen.update(rows=rows, **labels) or b"png")
    return seen


class Part:
    """A store of two scans, of which only slices 5 to 8, and 3 to 4, were kept; each pixel says where it is from."""

    index = pd.DataFrame({"subject": ["a"] * 4 + ["b"] * 2, "slice": [5, 6, 7, 8, 3, 4]})

    @staticmethod
    def array(name):
        values = np.arange(6, dtype=np.float16)[:, None, None] + np.zeros((6, 2, 2), np.float16)
        return values if name == "flair" else values > {"brain": 3, "lesion": 4}[name]


@pytest.mark.parametrize(("subject", "z", "row"), [("a", 5, 0), ("a", 8, 3), ("b", 3, 4), ("b", 4, 5)])
def test_a_slice_is_found_by_its_number_in_the_scan(subject, z, row):
    image, brain, lesion = pictures._slice(Part(), "flair", subject, z)
    assert image.dtype == np.float32
    assert (image == row).all()
    assert (brain == (row > 3)).all()
    assert (lesion == (row > 4)).all()


def test_the_montage_shows_the_slices_that_were_scored(store, perfect, record_of, drawn, tmp_path):
    """Each is the slice with most lesion of its subject; all that is in its row is of this very slice."""
    facts, pieces = score_volumes(perfect, store, "flair")
    assert store.index.groupby("subject")["slice"].min().min() > 0  # or this could not fail
    record = record_of("perfect", [0.5]).model_copy(
        update={"rows": facts["rows"], "paper": [{"case": piece.case, "z": piece.z} for piece in pieces]}
    )
    path = record_path(tmp_path, "flair", "perfect").with_suffix(".npy")
    path.parent.mkdir(parents=True)
    np.save(path, np.array([piece.score for piece in pieces], np.float16))

    write_montage(tmp_path / "montage.png", [record], store, "flair")

    assert (tmp_path / "montage.png").read_bytes() == b"png"
    volume = record.volume_ml
    assert [name.partition("\n")[0] for name in drawn["names"]] == sorted(volume, key=volume.get)
    for name, (scan, found) in zip(drawn["names"], drawn["rows"], strict=True):
        table = store.index[store.index["subject"] == name.partition("\n")[0]]
        row = table["lesion_px"].idxmax()
        np.testing.assert_array_equal(scan.image, store.array("flair")[row].astype(np.float32))
        for panel in (scan, found):
            ((_, outline),) = panel.outlines
            np.testing.assert_array_equal(outline, store.array("lesion")[row])
        np.testing.assert_array_equal(found.image, store.array("lesion")[row] & store.array("brain")[row])


def test_thirds_are_by_volume_and_leave_out_what_is_undefined():
    rows = [{"lesion_ml": ml, "dice": None if ml == 3.0 else 0.5} for ml in (5.0, 1.0, 4.0, 2.0, 3.0)]
    assert [[row["lesion_ml"] for row in third] for third in thirds(rows)] == [[1.0, 2.0], [4.0], [5.0]]
    assert thirds(rows[:1]) == [rows[:1]]
    assert thirds([rows[4]]) == []


def test_curves_and_sizes_are_drawn_of_those_that_have_them(record_of, tmp_path):
    rows = [{"subject": "a", "lesion_ml": 1.0, "dice": 0.5}, {"subject": "b", "lesion_ml": 2.0, "dice": None}]
    whole = record_of("DAE", [0.5]).model_copy(update={"rows": rows, "precision_at_recalls": [1.0] * 101})
    records = [whole, whole.model_copy(update={"contender": "intensity", "scoring": ""}), record_of("sampled", [])]
    for name, write in (("curves.png", write_curves), ("sizes.png", write_sizes)):
        write(tmp_path / name, records, "flair")
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
