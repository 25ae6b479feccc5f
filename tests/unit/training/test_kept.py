import numpy as np
import pytest

from mmccd.training.kept import KeptArrays


def refused():
    raise AssertionError("made again")


def test_an_array_is_made_once(tmp_path):
    kept = KeptArrays(tmp_path / "kept", {"weights": "a"})
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    assert kept.get("one", lambda: array) is array
    found = KeptArrays(tmp_path / "kept", {"weights": "a"}).get("one", refused)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == np.int64


def test_of_other_work_it_is_made_anew(tmp_path):
    KeptArrays(tmp_path, {"weights": "a"}).get("one", lambda: np.zeros(2))
    assert KeptArrays(tmp_path, {"weights": "b"}).get("one", lambda: np.ones(2)).tolist() == [1, 1]
    assert KeptArrays(tmp_path, {"weights": "a"}).get("one", refused).tolist() == [0, 0]


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04"])
def test_what_is_torn_is_made_anew(tmp_path, content):
    kept = KeptArrays(tmp_path, 1)
    kept.get("one", lambda: np.zeros(2))
    (path,) = tmp_path.rglob("one.npy")
    path.write_bytes(content)
    assert kept.get("one", lambda: np.ones(2)).tolist() == [1, 1]
    assert kept.get("one", refused).tolist() == [1, 1]
