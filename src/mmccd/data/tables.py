"""Tables that users write: CSV or TSV in, with errors that name the line."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from mmccd.errors import DataError

_HINT = "save it as plain CSV (comma, UTF-8) with one header line, for example from a spreadsheet"


def read_table(path: Path, required: Sequence[str]) -> list[dict[str, str]]:
    """Read a table whose first line is its header; names are lower-cased, cells are stripped.

    Tab separates the cells of a ``.tsv``; comma, or semicolon (European spreadsheets), elsewhere.

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
    first, _, _ = text.partition("\n")
    comma = ";" if ";" in first and "," not in first else ","
    lines = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix.lower() == ".tsv" else comma)
    try:
        numbered = [(lines.line_num, [cell.strip() for cell in cells]) for cells in lines if any(cells)]
    except csv.Error as error:
        raise DataError(f"{path.name} line {lines.line_num} is not valid CSV: {error}", _HINT) from error
    if not numbered:
        raise DataError(f"{path.name} is empty, expected a header with {', '.join(required)}", _HINT)
    header = [name.lower() for name in numbered[0][1]]
    _check_header(path, header, required)
    for line, cells in numbered[1:]:
        if len(cells) != len(header):
            raise DataError(f"{path.name} line {line} has {len(cells)} cells, its header has {len(header)}", _HINT)
    return [dict(zip(header, cells, strict=True)) for _, cells in numbered[1:]]


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
