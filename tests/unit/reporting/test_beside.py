"""Pages beside a page: all of them at once, and nothing of others is touched."""

import pytest

from mmccd.errors import ConfigError
from mmccd.reporting.beside import pages_beside
from mmccd.system.locks import one_at_a_time

OURS = b'<meta name="generator" content="mmccd report">'


def write(page, count, say=b""):
    with pages_beside(page) as beside:
        for number in range(count):
            beside.write(OURS + say + str(number).encode())
        beside.publish(OURS + say)
    return beside


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_pages_lie_in_a_folder_that_is_named_like_the_page(tmp_path):
    beside = write(tmp_path / "my report.html", 2)

    assert names(tmp_path) == ["my report.html", "my report_pages"]
    assert names(tmp_path / "my report_pages") == ["page-2.html", "page-3.html"]
    assert beside.address(3) == "my%20report_pages/page-3.html"
    assert beside.back == "../my%20report.html"


def test_a_page_that_holds_all_has_no_folder(tmp_path):
    write(tmp_path / "report.html", 0)

    assert names(tmp_path) == ["report.html"]


def test_what_an_earlier_run_left_is_replaced_and_nothing_else_is_touched(tmp_path):
    page, folder = tmp_path / "report.html", tmp_path / "report_pages"
    write(page, 3, b"old")
    (folder / "notes.txt").write_text("mine")
    (folder / "page-x.html").write_text("mine")

    write(page, 1, b"new")

    assert names(folder) == ["notes.txt", "page-2.html", "page-x.html"]
    assert b"new" in (folder / "page-2.html").read_bytes()
    write(page, 0)
    assert names(folder) == ["notes.txt", "page-x.html"]
    for path in folder.iterdir():
        path.unlink()
    write(page, 1)
    write(page, 0)
    assert names(tmp_path) == ["report.html"]


def test_nothing_is_there_before_all_is(tmp_path):
    page = tmp_path / "report.html"
    write(page, 1, b"old")

    with pages_beside(page) as beside:
        beside.write(OURS + b"new")  # and then it is given up

    assert names(tmp_path) == ["report.html", "report_pages"]
    assert names(tmp_path / "report_pages") == ["page-2.html"]
    assert b"old" in (tmp_path / "report_pages" / "page-2.html").read_bytes()


@pytest.mark.parametrize("make", ["file", "page", "folder"])
def test_a_place_of_others_is_refused(tmp_path, make):
    page, folder = tmp_path / "report.html", tmp_path / "report_pages"
    if make == "file":
        folder.write_text("mine")
    elif make == "page":
        folder.mkdir()
        (folder / "page-7.html").write_text("mine")
    else:
        (folder / "page-2.html").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(ConfigError, match="report_pages") as caught:
        write(page, 1)

    assert "--output" in caught.value.hint
    assert sorted(tmp_path.rglob("*")) == before
    write(page, 0)  # which needs no such place
    assert sorted(tmp_path.rglob("*")) == sorted([*before, page])


def test_two_at_once_do_not_mix_their_pages(tmp_path):
    with (
        one_at_a_time(tmp_path, "report_pages", wait=False),
        pytest.raises(ConfigError, match="another mmccd process writes"),
    ):
        write(tmp_path / "report.html", 1)
