"""What a page may weigh: viewers get fewer from the end, then cases."""

import pytest

from mmccd.reporting.article import Drawn
from mmccd.reporting.sheet import NO_VIEWER, Sheet, library_bytes, share_of
from mmccd.reporting.table import Row

PICTURES, VIEWER = 10_000, 4_000


def drawn(number, viewer=VIEWER):
    return Drawn(Row(f"{number}", (), (0,), number), "b" * (PICTURES - 1), "v" * viewer, "a")


def filled_sheet(limit, cases=5, most=50, viewer=VIEWER, fixed=1_000):
    sheet = Sheet(limit, fixed, most)
    for number in range(cases):
        if not sheet.fits(drawn(number, viewer)):
            break
        sheet.add(drawn(number, viewer))
    return sheet


def size_of(sheet, filled):
    library = library_bytes() if filled.viewers else 0
    return sheet.fixed + library + sum(len(article.encode()) for article in filled.articles)


@pytest.mark.parametrize(
    ("room", "viewers"), [(10 * VIEWER, 5), (5 * VIEWER, 5), (2.5 * VIEWER, 2), (0, 0), (-(10**6), 0)]
)
def test_viewers_are_left_out_from_the_end_and_the_page_keeps_its_limit(room, viewers):
    limit = 1_000 + 5 * (PICTURES + len(NO_VIEWER)) + library_bytes() + int(room)
    sheet = filled_sheet(limit)

    filled = sheet.filled()

    assert ["v" in article[PICTURES - 2 :] and NO_VIEWER not in article for article in filled.articles] == (
        [True] * viewers + [False] * (5 - viewers)
    )
    assert (filled.viewers, filled.without) == (viewers, 5 - viewers)
    assert size_of(sheet, filled) <= limit


def test_pictures_count_before_viewers_and_bound_the_cases_of_a_page():
    sheet = filled_sheet(1_000 + 3 * (PICTURES + len(NO_VIEWER)) + 100)

    assert len(sheet.drawn) == 3
    assert sheet.least(drawn(3)) > sheet.limit
    assert size_of(sheet, sheet.filled()) <= sheet.limit


def test_no_more_cases_than_are_asked_for():
    assert len(filled_sheet(10**9, most=2).drawn) == 2


def test_what_the_rest_of_the_page_takes_is_taken_from_viewers():
    sheet = filled_sheet(1_000 + 5 * (PICTURES + len(NO_VIEWER)) + library_bytes() + 5 * VIEWER)

    assert sheet.filled().viewers == 5
    assert sheet.filled(fixed=1_000 + 2 * VIEWER).viewers == 3


def test_cases_without_viewers_lack_none():
    filled = filled_sheet(10**9, viewer=0).filled()

    assert (filled.viewers, filled.without) == (0, 0)
    assert NO_VIEWER not in "".join(filled.articles)


def test_what_is_left_out_is_said():
    sheet = filled_sheet(10**9)
    for limit, fewer, said in ((10**9, False, ""), (10**9, True, "5 cases stand here, not 50"),
                               (100_000, False, "No case has a viewer")):  # fmt: skip
        sheet.limit = limit
        notice = sheet.filled().notice(sheet, 2.5, fewer=fewer)
        assert said in notice
        assert ("2.5 MB" in notice) == bool(said)
        assert bool(notice.strip()) == bool(said)
    sheet.limit = sheet.fixed + sheet.pictures + library_bytes() + 4 * VIEWER
    assert "The 1 least unusual case has no viewer" in sheet.filled().notice(sheet, 1, fewer=False)


def test_each_case_has_its_share_of_a_page():
    assert share_of(library_bytes() + 11_000, 1_000, 10) == 1_000
    assert share_of(library_bytes() + 11_000, 1_000, 0) == 10_000
