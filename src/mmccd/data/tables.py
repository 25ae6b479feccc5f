"""Tables that users write: CSV or TSV in, with errors that name the line."""

import csv
import io
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from mmccd.errors import DataError

_HINT = "save it as plain CSV (comma, UTF-8) with one header line, for example from a spreadsheet"


def read_table(path: Path, required: Sequence[str]) -> list[dict[str, str]]:
    """Read a table whose first line is its header; names are lower-cased, cells are stripped.

    Tab separates the cells of a ``.tsv``; comma, semicolon (European spreadsheets) or tab elsewhere, or what a first
    line ``sep=;`` says. Rows, and columns without a name, that are empty are left out: spreadsheets write such.

    Raises:
        DataError: the file cannot be read, lacks a required column, has a column without a name or twice,
            or a line with too few or too many cells.
    """
    if path.is_dir() or not path.exists():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {what}, expected a table", "give a CSV file")
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a byte-order mark first
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a table: {error}", _HINT) from error
    separator, start = _separator(path, text)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        every = [(lines.line_num, [cell.strip() for cell in cells]) for cells in lines]
    except csv.Error as error:
        raise DataError(f"{path.name} line {lines.line_num} is not valid CSV: {error}", _HINT) from error
    numbered = [(line, cells) for line, cells in every if line > start and any(cells)]
    if not numbered:
        raise DataError(f"{path.name} is empty, expected a header with {', '.join(required)}", _HINT)
    width = max(len(cells) - _empty_at_the_end(cells) for _, cells in numbered)
    header = [name.lower() for name in numbered[0][1][:width]]
    for line, cells in numbered[1:]:
        if len(cells[:width]) != len(header):
            raise DataError(f"{path.name} line {line} has {len(cells)} cells, its header has {len(header)}", _HINT)
    rows = [cells[:width] for _, cells in numbered[1:]]
    used = [place for place, name in enumerate(header) if name or any(row[place] for row in rows)]
    _check_header(path, [header[place] for place in used], required)
    return [{header[place]: row[place] for place in used} for row in rows]


def _separator(path: Path, text: str) -> tuple[str, int]:
    """What separates cells, and how many lines stand before the header."""
    first, _, _ = text.partition("\n")
    if stated := re.fullmatch(r'"?sep=(.)"?\s*', first, re.IGNORECASE):
        return stated[1], 1
    if "\t" in first and (path.suffix.lower() == ".tsv" or not {",", ";"} & set(first)):
        return "\t", 0
    return ";" if ";" in first and "," not in first else ",", 0


def _empty_at_the_end(cells: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda cell: not cell, reversed(cells)))


def _check_header(path: Path, header: list[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in header]
    if missing:
        raise DataError(
            f"{path.name} has no column {', '.join(missing)}; its columns are {', '.join(header)}",
            f"name the columns {', '.join(required)} in the first line",
        )
    repeated = sorted({name or "(no name)" for name in header if header.count(name) > 1 or not name})
    if repeated:
        raise DataError(
            f"{path.name} has columns without a name of their own: {', '.join(repeated)}",
            "give each column one name, used once",
        )
