"""What is kept of raw scans."""

import pytest

from mmccd.errors import ConfigError
from mmccd.raw.cache import cache_folder, kept


def test_what_is_made_once_is_kept_and_what_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("MMCCD_CACHE", str(tmp_path / "c"))
    made = []

    def make(place):
        made.append(place)
        place.write_text("x")

    first = kept("kind", {"a": 1}, ".txt", make)
    assert kept("kind", {"a": 1}, ".txt", make) == first
    assert kept("kind", {"a": 2}, ".txt", make) != first
    assert len(made) == 2
    assert first.read_text() == "x"

    def torn(place):
        place.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        kept("kind", {"a": 3}, ".txt", torn)
    assert len(list((tmp_path / "c" / "kind").iterdir())) == 2


def test_its_place_is_the_users_own_unless_somebody_says_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("MMCCD_CACHE")
    assert cache_folder().name == "mmccd"
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("MMCCD_CACHE", str(file))
    with pytest.raises(ConfigError, match="nothing can be kept in") as caught:
        kept("kind", 1, ".txt", lambda place: place.touch())
    assert "MMCCD_CACHE" in caught.value.hint
