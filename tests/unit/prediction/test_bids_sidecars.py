"""Whose a file of derivatives is."""

import pytest

from mmccd.prediction.bids_sidecars import JSON, NIFTI, beside, is_made_of, record_behind, remove


@pytest.fixture
def place(tmp_path):
    place = tmp_path / "sub-1_mask"
    beside(place, NIFTI).touch()
    return place


@pytest.mark.parametrize("said", [None, "{}", "[]", "{", '{"RecordSHA256": 3}'])
def test_a_file_that_does_not_say_so_is_somebody_elses(place, said):
    if said is not None:
        beside(place, JSON).write_text(said)
    assert record_behind(place) is None
    assert not is_made_of(place, "digest")


def test_one_that_does_is_ours_and_of_its_record(place):
    beside(place, JSON).write_text('{"RecordSHA256": "digest", "T1wSHA256": "t1"}')
    assert record_behind(place) == "digest"
    assert is_made_of(place, "digest")
    assert is_made_of(place, "digest", T1wSHA256="t1")
    assert not is_made_of(place, "digest", T1wSHA256="another")
    assert not is_made_of(place, "another")
    remove(place)
    assert not beside(place, NIFTI).exists()
    assert not beside(place, JSON).exists()
