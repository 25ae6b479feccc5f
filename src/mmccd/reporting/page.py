"""One self-contained page: templates, styles and scripts inlined, and a policy that lets nothing else run."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mmccd.system.files import write_atomically
from mmccd.system.plain_text import on_page
from mmccd.version import __version__

NIIVUE = "niivue/niivue.umd.js"
GENERATOR = "mmccd report"
DISCLAIMER = "Research use only. Not a medical device."
# The viewer fetches its font and colour tables from addresses that hold them (data:), and nothing from anywhere else.
_POLICY = (
    "default-src 'none'; script-src {scripts}; style-src {styles}; img-src data: blob:; font-src data:; "
    "connect-src data: blob:; base-uri 'none'; form-action 'none'"
)


def write_page(path: Path, template: str, values: Mapping[str, Any], *, viewer: bool = False) -> int:
    """Fill a template and write it as one file; returns its size in bytes.

    Args:
        path: Of the page.
        template: Name of a file in `assets`, without `.html.jinja`.
        values: For the template; all text is escaped.
        viewer: Whether the page needs NiiVue.
    """
    page = render(template, values, viewer=viewer).encode()
    write_atomically(path, page)
    return len(page)


def render(template: str, values: Mapping[str, Any], *, viewer: bool = False) -> str:
    """The page as text."""
    style, script = asset("report.css"), asset("report.js")
    library = asset(NIIVUE) if viewer else ""
    policy = _POLICY.format(
        scripts=" ".join(f"'{_hash(text)}'" for text in (script, library) if text), styles=f"'{_hash(style)}'"
    )
    return fill(
        template,
        {
            **values,
            "policy": policy,
            "generator": GENERATOR,
            "style": Markup(style),
            "script": Markup(script),
            "library": Markup(library),
            "disclaimer": DISCLAIMER,
            "version": __version__,
        },
    )


def _shown(value: Any) -> Any:
    return on_page(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def fill(template: str, values: Mapping[str, Any]) -> str:
    """A template with its values, all of whose text is escaped; a part of a page, or a page that has all it needs."""
    return _environment().get_template(f"{template}.html.jinja").render(**values)


@cache
def _environment() -> Environment:
    """One for all: it keeps the templates that it has compiled."""
    environment = Environment(
        loader=PackageLoader("mmccd.reporting", "assets"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, auto_reload=False, finalize=_shown,
    )  # fmt: skip
    environment.filters |= {"number": number, "thousands": "{:,}".format}
    return environment


@cache
def asset(name: str) -> str:
    """A text file of `assets`."""
    return (resources.files("mmccd.reporting") / "assets" / name).read_text(encoding="utf-8")


def number(value: Any, digits: int = 3) -> str:
    """A number for people: significant digits, thousands apart, a dash where there is none."""
    if value is None or value != value:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text else text


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
