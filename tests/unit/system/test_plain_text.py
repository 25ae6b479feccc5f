import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmccd.system.plain_text import as_cell, in_lines, in_one_line, of_cell, on_page, printable

ODD = {
    "a\x1b[2Jb": "a\\x1b[2Jb",  # clears a terminal
    "a\x9b2Jb": "a\\x9b2Jb",  # the same in one character
    "a\x07\x00\x7f": "a\\x07\\x00\\x7f",
    "scan\u202eiin.gz": "scan\\u202eiin.gz",  # turns the direction
    "a\u200bb": "a\\u200bb",
    "a\udcff": "a\\udcff",  # no text at all
    "Zürich 漢字 → ×": "Zürich 漢字 → ×",
}


@pytest.mark.parametrize(("text", "shown"), ODD.items())
def test_what_a_terminal_would_obey_is_spelled_out(text, shown):
    assert printable(text) == in_one_line(text) == in_lines(text) == on_page(text) == as_cell(text) == shown


def test_line_breaks():
    assert printable("a\nb\tc") == as_cell("a\nb\tc") == "a\\nb\\tc"
    assert in_one_line(" a\n\tb\u2028c ") == "a b c"
    assert in_lines("a\nb\rc") == "a\nb\\rc"
    assert on_page("a\nb\u202fc") == "a\nb\u202fc"


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "  +1", '"=1', "'=1", "＝1", "＋1", "－1", "＠SUM(A1)", "\t=1",
            "a;=1", "a; =1", 'a;"=1"', "a;b;＝1", ";-1", "\r=1", "a\t=1", "a\n=1"]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_program_that_reads_a_table_finds_a_formula(text, separator):
    """Whatever it takes for what separates cells, and whether it looks behind blanks and quotes."""
    stream = io.StringIO()
    csv.writer(stream).writerow(["x", as_cell(text), "y"])
    for cells in csv.reader(stream.getvalue().splitlines(), delimiter=separator):
        assert not any(cell.strip(" \"'").startswith(tuple("=+-@＝＋－＠")) for cell in cells if "'" not in cell), cells
        assert all(cell.lstrip(' "')[:1] not in tuple("=+-@＝＋－＠") for cell in cells), cells


@given(st.text("=+-@;'\" a1＝漢"))
def test_a_cell_leads_back_to_its_text(text):
    assert of_cell(as_cell(text)) == text


@given(st.text())
def test_a_cell_that_is_written_again_stays(text):
    assert as_cell(of_cell(as_cell(text))) == as_cell(text)
