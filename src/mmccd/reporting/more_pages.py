"""The pages with the cases that do not stand in full on the first one, each with links to it and to its neighbours."""

from typing import Any

from mmccd.reporting.beside import FIRST, PagesBeside
from mmccd.reporting.cohort_page import SLACK, CohortPage
from mmccd.reporting.page import render
from mmccd.reporting.sheet import Sheet
from mmccd.reporting.table import BADGES, Table


class MorePages:
    """Writes them one after the other.

    Args:
        page: Of the whole cohort.
        first: What stands in full on it.
        max_mb: The limit that is said on a page.
    """

    def __init__(self, page: CohortPage, first: Sheet, max_mb: float) -> None:
        self._page, self._first, self._max_mb, self._done = page, first, max_mb, 0
        longest = page.longest_names(min(first.most, len(page.order)))
        table = Table.of(page.widest(name) for name in longest)
        values = self._values(table, 10**6, 10**6, last=False) | {"articles": [], "left_out": ""}
        self.fixed = len(render("more_cases", values).encode()) + SLACK

    @property
    def number(self) -> int:
        """Of the page that is to be written next."""
        return FIRST + self._beside.count

    def sheet(self) -> Sheet:
        """An empty one."""
        return Sheet(self._first.limit, self.fixed, self._first.most)

    def write(self, sheet: Sheet, *, last: bool) -> None:
        """Write the next page.

        Raises:
            ConfigError, WriteError: as `PagesBeside.write`.
        """
        first = len(self._first.drawn) + self._done + 1
        self._done += len(sheet.drawn)
        filled = sheet.filled()
        table = Table.of(one.row for one in sheet.drawn if one.row is not None)
        values = self._values(table, first, first + len(sheet.drawn) - 1, last=last)
        notice = filled.notice(sheet, self._max_mb, fewer=len(sheet.drawn) < sheet.most and not last)
        values |= {"articles": filled.articles, "left_out": notice}
        self._beside.write(render("more_cases", values, viewer=filled.viewers > 0).encode())

    @property
    def _beside(self) -> PagesBeside:
        return self._page.beside

    def _values(self, table: Table, first: int, last_case: int, *, last: bool) -> dict[str, Any]:
        beside = self._beside
        return {
            "rows": table.first,
            "rows_data": table.data(),
            "badges": BADGES,
            "expert": self._page.expert,
            "source": self._page.predictions.source,
            "first": first,
            "last": last_case,
            "total": len(self._page.order),
            "back": beside.back,
            "previous": beside.name(self.number - 1) if self.number > FIRST else beside.back,
            "next": "" if last else beside.name(self.number + 1),
        }
