"""Pages beside a page: in a folder of their own, whole or absent, and nothing there but ours is touched."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mmccd.errors import ConfigError, WriteError
from mmccd.reporting.page import GENERATOR
from mmccd.reporting.table import address
from mmccd.system.claims import Claim
from mmccd.system.files import sole_staging, write_atomically
from mmccd.system.locks import one_at_a_time

FIRST = 2
"""Number of the first one: the page itself is the first of all."""
_NAME = re.compile(r"page-\d+\.html")
_MARK = f'<meta name="generator" content="{GENERATOR}">'.encode()
_HEAD = 4096
"""Bytes within which a page says what wrote it."""


def pages_of(page: Path) -> Path:
    """The folder of the pages beside one."""
    return page.with_name(f"{page.stem}_pages")


class PagesBeside:
    """The pages that belong to one page; they get their places when all of them are there.

    Attributes:
        page: The page itself.
        folder: Of the others: `report_pages` of `report.html`. No name in it is that of a case.
        count: How many were written.
    """

    def __init__(self, page: Path) -> None:
        self.page, self.folder = page, pages_of(page)
        self.count = 0
        self._opened = ExitStack()
        self._claim: Claim | None = None
        self._staged: Path | None = None

    def check(self) -> None:
        """Refuse a place in which other things lie.

        Raises:
            ConfigError: where the folder would be lies a file, or a file of others has the name of one of its pages.
        """
        if self.folder.exists() and not self.folder.is_dir():
            what = f"{self.folder} is a file, and the pages of further cases need a folder of this name"
            raise ConfigError(what, "move it, or choose another --output")
        for path in self._named_so():
            if not _is_ours(path):
                what = f"{path} would be replaced, and is no page that `mmccd report` wrote"
                raise ConfigError(what, "move it, or choose another --output")

    def write(self, content: bytes) -> None:
        """Write the next one.

        Raises:
            ConfigError: see `check`; or another process writes pages there.
            WriteError: it cannot be written.
        """
        if self._staged is None:
            self.check()
            parent, name = self.page.parent, self.folder.name
            self._claim = self._opened.enter_context(one_at_a_time(parent, name, wait=False))
            if self._claim is None:
                raise ConfigError(f"another mmccd process writes {self.folder}", "wait, or choose another --output")
            self._staged = self._opened.enter_context(sole_staging(parent, name, self._claim.token))
        write_atomically(self._staged / self.name(FIRST + self.count), content)
        self.count += 1

    def publish(self, content: bytes) -> None:
        """Put all in their places, the page itself last, and take away what an earlier run had more.

        Raises:
            WriteError: a place cannot be written.
            ClaimLost: another process writes there now, because this one stood still.
        """
        if self._claim is not None:
            self._claim.check()
        new = {self.name(FIRST + number) for number in range(self.count)}
        if self._staged is not None:
            try:
                self.folder.mkdir(exist_ok=True)
                for name in sorted(new):
                    (self._staged / name).replace(self.folder / name)
            except OSError as error:
                raise WriteError(self.folder, error) from error
        write_atomically(self.page, content)
        for path in self._named_so():
            if path.name not in new and _is_ours(path):
                with suppress(OSError):  # an old page that nothing leads to does no harm
                    path.unlink()
        if not new:
            with suppress(OSError):  # is not there, or holds something else
                self.folder.rmdir()

    @property
    def pattern(self) -> str:
        """The way from the page itself to one of them, with a star for its number."""
        return f"{address(self.folder.name)}/page-*.html"

    def address(self, number: int) -> str:
        """The way to one."""
        return self.pattern.replace("*", str(number))

    @property
    def back(self) -> str:
        """The way from one of them to the page itself."""
        return f"../{address(self.page.name)}"

    @staticmethod
    def name(number: int) -> str:
        """Of the file of one."""
        return f"page-{number}.html"

    def close(self) -> None:
        """Remove what was not put in its place."""
        self._opened.close()

    def _named_so(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]


@contextmanager
def pages_beside(page: Path) -> Iterator[PagesBeside]:
    """The pages beside one; what was not published at the end is removed."""
    pages = PagesBeside(page)
    try:
        yield pages
    finally:
        pages.close()


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return _MARK in stream.read(_HEAD)
    except OSError:
        return False
