"""Rows of a table: a few as they are, all as data that cannot leave its script element."""

import json

from mmccd.reporting.table import ABOVE, BADGES, SCAN_MISSING, SHOWN, Row, Table, address, widest


def test_a_table_that_is_seen_at_once_has_no_data():
    assert Table.of([Row("a", ("1",))] * SHOWN).data() == ""


def test_the_data_are_all_rows_in_order():
    rows = [Row(f"case {i}", (f"{i}", "–"), (ABOVE, SCAN_MISSING), i, 3) for i in range(1, SHOWN + 2)]
    table = Table.of(rows)

    data = json.loads(table.data("in/page-*.html"))

    assert table.first == rows[:SHOWN]
    assert len(table) == len(data["rows"]) == SHOWN + 1
    assert data["rows"][-1] == [f"case {SHOWN + 1}", SHOWN + 1, 3, [ABOVE, SCAN_MISSING], f"{SHOWN + 1}", "–"]
    assert data["pages"] == "in/page-*.html"
    assert [BADGES[mark][0] for mark in data["rows"][0][3]] == ["above all references", "scan missing"]


def test_tables_are_joined_in_order():
    both = Table.of([Row("a", ())] * 30) + Table.of([Row("b", ())] * 30)

    assert [row.name for row in both.first] == ["a"] * 30 + ["b"] * 20
    assert len(both) == 60


def test_no_name_ends_the_script_element():
    hostile = "</script><!--\u2028"
    text = Table.of([Row(hostile, (hostile,), (0,))] * (SHOWN + 1)).data()

    assert "<" not in text
    assert json.loads(text)["rows"][0][0] == hostile


def test_the_widest_row_takes_more_than_any_row():
    row = Row("a", ("-0.00123", "1e-05", "100 %", "1,234", "123,456", "1,234", "0.99", "12"), (4, 1), 20_000, 400)

    assert len(widest("a", 8).as_json) >= len(row.as_json)


def test_addresses_lead_to_files_of_any_name():
    assert address("my report #1_pages") == "my%20report%20%231_pages"
