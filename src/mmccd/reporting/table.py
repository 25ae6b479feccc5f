"""The table of all cases: a row each, of which a page holds a few as HTML and all as data for its script."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from markupsafe import Markup

SHOWN = 50
"""Rows that are seen at a time; where there are no more, they are all in the page and it has no data for its script."""

NO_REFERENCE, ABOVE, AMONG, SCAN_MISSING, MASK_MISSING, HALF_WRITTEN, NOT_SCORED = range(7)
BADGES = (
    ("no reference", ""),
    ("above all references", "marked"),
    ("among the references", ""),
    ("scan missing", "warn"),
    ("mask missing", "warn"),
    ("half-written", "warn"),
    ("not scored", "warn"),
)
"""What a row says of the state of its case, and the CSS class of it."""
_WIDEST = "-1,234,567.89"


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        name: Of the case, as shown.
        cells: What stands behind it, as shown.
        badges: Positions in `BADGES`; None in a table that has none.
        key: Of the case in full; 0 where there is none.
        page: Number of the page on which it stands.
    """

    name: str
    cells: tuple[str, ...]
    badges: tuple[int, ...] | None = None
    key: int = 0
    page: int = 1

    @property
    def as_json(self) -> str:
        """As the script reads it."""
        badges = None if self.badges is None else list(self.badges)
        return as_json([self.name, self.key, self.page, badges, *self.cells])


@dataclass
class Table:
    """Rows as they come: the first ones as they are, all as text, which takes least memory."""

    first: list[Row] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Table":
        """A table of these rows."""
        table = cls()
        for row in rows:
            table.add(row)
        return table

    def add(self, row: Row) -> None:
        """One more row."""
        if len(self.first) < SHOWN:
            self.first.append(row)
        self.lines.append(row.as_json)

    def __len__(self) -> int:
        return len(self.lines)

    def __add__(self, other: "Table") -> "Table":
        return Table((self.first + other.first)[:SHOWN], self.lines + other.lines)

    def data(self, pages: str = "") -> Markup:
        """All rows for the script; nothing where `first` has them all.

        Args:
            pages: Address of the pages on which cases stand in full, with a star for the number.
        """
        if len(self.lines) <= SHOWN:
            return Markup("")
        head = as_json({"badges": BADGES, "pages": pages})
        return Markup(f'{head[:-1]},"rows":[{",".join(self.lines)}]}}')


def widest(name: str, cells: int) -> Row:
    """A row that takes as much room as that of this case may."""
    return Row(name, (_WIDEST,) * cells, (ABOVE, MASK_MISSING), 10**6, 10**4)


def address(page: str) -> str:
    """Of a file beside the page, for a link."""
    return quote(page)


def as_json(value: object) -> str:
    """JSON that may stand in a script element, whatever text it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
