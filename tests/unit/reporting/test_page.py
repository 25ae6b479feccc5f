"""A page is one file whose policy lets its own script run and nothing else; all text is escaped."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import mmccd
from mmccd import figures
from mmccd.reporting.page import DISCLAIMER, NIIVUE, asset, number, render
from mmccd.reporting.table import BADGES, SHOWN, Row, Table

ASSETS = Path(mmccd.__file__).parent / "reporting" / "assets"
HOSTILE = '<img src=x onerror="alert(1)">\'"</script>'


class Inline(HTMLParser):
    """Inline scripts and styles, the policy, and everything that could load or run something else."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.policy, self.loaded, self.handlers = [], "", [], []
        self._kind = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]
        self.handlers += [name for name in values if name.startswith("on") or name == "style"]
        self.loaded += [values[key] for key in ("src", "href") if not values.get(key, "#").startswith(("#", "data:"))]
        self._kind = tag if tag in ("script", "style") and "type" not in values else None

    def handle_data(self, data):
        if self._kind:
            self.texts.append((self._kind, data))

    def handle_endtag(self, tag):
        self._kind = None


@pytest.fixture(params=[True, False], ids=["with viewer", "without"])
def page(request):
    missing = Table.of([Row(HOSTILE, (HOSTILE, HOSTILE))] * (SHOWN + 1))  # more than are shown at a time
    rows = Table.of([Row(HOSTILE, (HOSTILE,), (0,))] * (SHOWN + 1))
    values = {
        "rows": rows.first, "rows_data": rows.data(), "badges": BADGES, "pattern": "", "pages": 0, "folder": HOSTILE,
        "missing": missing.first, "missing_data": missing.data(), "missing_count": len(missing), "missing_cut": 0,
        "shown": 1, "articles": [], "left_out": "", "source": HOSTILE, "healthy": False, "healthy_subjects": 1,
        "chosen_on": HOSTILE, "score_definition": HOSTILE, "chart": "", "counted": False, "threshold": None,
        "scans_given": False, "expert": False, "model": HOSTILE, "unusual": 0, "with_findings": 0,
        "methods": HOSTILE, "references": [HOSTILE],
    }  # fmt: skip
    return render("predictions", values, viewer=request.param)


def test_the_policy_allows_the_inlined_texts_by_digest_and_nothing_else(page):
    found = Inline(page)

    rules = {name: rest for name, _, rest in (rule.strip().partition(" ") for rule in found.policy.split(";"))}
    digests = {
        kind: {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for k, text in
               found.texts if k == kind}
        for kind in ("script", "style")
    }  # fmt: skip
    assert rules["default-src"] == "'none'"
    assert set(rules["script-src"].split()) == digests["script"]
    assert set(rules["style-src"].split()) == digests["style"]
    assert "unsafe" not in found.policy
    assert not re.search(r"https?:", found.policy)


def test_nothing_is_loaded_and_no_attribute_runs_anything(page):
    found = Inline(page)

    assert found.loaded == []
    assert found.handlers == []


def test_all_text_is_escaped(page):
    assert HOSTILE not in page
    assert page.count("&lt;img src=x onerror=") >= 5


def test_it_says_that_it_is_no_medical_device_where_it_is_seen_and_on_paper(page):
    assert page.index(DISCLAIMER) < page.index("<main")
    assert f'content: "{DISCLAIMER}"' in asset("report.css")


def test_the_viewer_is_the_file_that_the_readme_names():
    digest = hashlib.sha256((ASSETS / NIIVUE).read_bytes()).hexdigest()

    assert digest in (ASSETS / "README.md").read_text()
    assert "</script" not in asset(NIIVUE)
    assert "BSD 2-Clause" in (ASSETS / "niivue" / "LICENSE").read_text()


def test_colours_are_those_of_the_pictures():
    style = asset("report.css")

    for colour in (figures.BACKGROUND, figures.INK, figures.MUTED, figures.LESION, figures.MASK):
        assert colour in style


def _luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "behind"),
    [("ink", "page"), ("muted", "page"), ("muted", "surface"), ("muted", "faint"), ("accent", "surface"),
     ("mask-ink", "mask-soft"), ("warn", "warn-soft"), ("warn", "page")],
)  # fmt: skip
def test_text_stands_out_from_what_is_behind_it(theme, text, behind):
    """A contrast of 4.5, as WCAG 2.2 asks of text (AA)."""
    style = asset("report.css")
    block = style[style.index(":root {") :] if theme == "light" else style[style.index(':root[data-theme="dark"] {') :]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block.partition("}")[0]))

    one, other = sorted((_luminance(colours[name]) for name in (text, behind)), reverse=True)

    assert (one + 0.05) / (other + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (float("nan"), "–"), (0.166, "0.166"), (1234.5, "1,234"), (999.6, "1000"), (0, "0")],
)
def test_numbers_for_people(value, shown):
    assert number(value) == shown
