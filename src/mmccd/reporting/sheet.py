"""How much goes onto one page: pictures of as many cases as fit, then viewers of as many as fit beside them."""

from dataclasses import dataclass, field

from markupsafe import Markup

from mmccd.reporting.article import Drawn, markup
from mmccd.reporting.page import NIIVUE, asset, fill

NO_VIEWER = (
    '<div class="viewer"><span class="viewer-note">No viewer: the page would be too large (--max-mb).</span></div>'
)
_AROUND_LIBRARY = 200  # its element and its digest


def library_bytes() -> int:
    """What the viewer's library takes on a page that has one."""
    return len(asset(NIIVUE).encode()) + len(fill("viewer_template", {}).encode()) + _AROUND_LIBRARY


@dataclass(frozen=True)
class Filled:
    """The cases of a page as it shows them.

    Attributes:
        articles: In order.
        viewers: How many of them have a viewer.
        without: How many lack one for want of room.
    """

    articles: list[Markup]
    viewers: int
    without: int

    def notice(self, sheet: "Sheet", max_mb: float, *, fewer: bool) -> Markup:
        """What is left out for want of room, in words.

        Args:
            sheet: That was filled.
            max_mb: The limit, as it was given.
            fewer: Whether more cases would stand on the page if there were room.
        """
        values = {"without": self.without, "fewer": fewer, "here": len(self.articles), "most": sheet.most}
        return Markup(fill("left_out", {**values, "max_mb": f"{max_mb:g}"}))


@dataclass
class Sheet:
    """The cases in full on one page.

    Attributes:
        limit: Bytes that the page may take.
        fixed: What it takes without any case and viewer.
        most: Cases that may stand in full on it.
    """

    limit: int
    fixed: int
    most: int
    drawn: list[Drawn] = field(default_factory=list)
    pictures: int = 0
    """Bytes that the cases take without viewers."""

    def least(self, drawn: Drawn) -> int:
        """Bytes of the page with one more case, and no viewer."""
        return self.fixed + self.pictures + _least(drawn)

    def fits(self, drawn: Drawn) -> bool:
        """Whether another case has room on it."""
        return len(self.drawn) < self.most and self.least(drawn) <= self.limit

    def add(self, drawn: Drawn) -> None:
        """Put it there."""
        self.drawn.append(drawn)
        self.pictures += _least(drawn)

    def filled(self, fixed: int | None = None) -> Filled:
        """The cases in full, and viewers from the first case on as far as the room goes.

        Args:
            fixed: What the rest of the page takes, where that is known by now.
        """
        left = self.limit - (self.fixed if fixed is None else fixed) - self.pictures - library_bytes()
        articles, viewers, without = [], 0, 0
        for one in self.drawn:
            size = len(one.viewer.encode())
            if one.viewer and size <= left:
                left -= size
                viewers += 1
                articles.append(markup(one, one.viewer))
            else:
                without += bool(one.viewer)
                articles.append(markup(one, NO_VIEWER if one.viewer else ""))
        return Filled(articles, viewers, without)


def share_of(limit: int, fixed: int, cases: int) -> int:
    """Bytes of a page for each of its cases, with pictures and viewer."""
    return (limit - fixed - library_bytes()) // max(1, cases)


def _least(drawn: Drawn) -> int:
    return drawn.size + (len(NO_VIEWER) if drawn.viewer else 0)
