"""The site of `make docs`, in a browser and from disk: searched, copied from and read, and it asks for nothing.

Needs Chromium (`apt-get install chromium`) and Sphinx, and is skipped, loudly, without them.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HTML = ROOT / "docs" / "_build" / "html"
THEME_SAYS = "[PST]"
# How far the page, or the column that scrolls in its place, is wider than it may be.
TOO_WIDE = """Math.max(...[...document.querySelectorAll("html, .bd-main, .bd-article-container")]
              .map(node => node.scrollWidth - node.clientWidth))"""
DARK, LIGHT = 90, 200  # of 255: the mean of a colour's channels


@pytest.fixture(scope="module")
def site():
    """The site, by the line of the Makefile: of what is there already only what changed since is made."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed, so no site was looked at: pip install 'mmccd[docs]'")
    (line,) = (line for line in (ROOT / "Makefile").read_text().splitlines() if "-m sphinx" in line)
    command = shlex.split(line.replace("$(BIN)/python", sys.executable))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return HTML


@pytest.fixture
def look_at(site, visit):
    """Open a page of the site, from disk."""

    def call(name, **settings):
        return visit(site / name, also=site, chatter=THEME_SAYS, **settings)

    return call


def pages_of(site):
    """All but the listings of modules, a template of the theme, and the first page, which leads on at once."""
    pages = (path for path in site.rglob("*.html") if not {"_modules", "_static"} & set(path.parts))
    return sorted(path for path in pages if path != site / "index.html")


def test_the_first_page_leads_to_the_site(look_at, site):
    page = look_at("index.html")
    page.wait_for_url((site / "docs" / "index.html").as_uri())
    assert page.locator("h1").inner_text().startswith("Find what should not be there")


def test_a_word_is_found_from_disk(look_at):
    page = look_at("docs/index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("heteroscedastic")
    page.keyboard.press("Enter")
    found = page.locator("#search-results li a")
    found.first.wait_for()
    assert "docs/reference/glossary" in "".join(found.evaluate_all("links => links.map(link => link.href)"))
    found.filter(has_text="Words").first.click()
    page.wait_for_load_state()
    assert "heteroscedastic loss" in page.locator("article").inner_text()


def test_pages_for_users_are_found_before_decisions(look_at):
    page = look_at("search.html")
    page.goto(page.url + "?q=threshold")
    page.get_by_text("Search finished").first.wait_for()
    found = page.locator("#search-results li a").evaluate_all("links => links.map(link => link.pathname)")
    first = {part: next(i for i, path in enumerate(found) if part in path) for part in ("/how-to/", "/decisions/")}
    assert first["/how-to/"] < first["/decisions/"]


def test_a_name_of_the_package_is_found(look_at):
    page = look_at("search.html")
    page.goto(page.url + "?q=find_split")
    target = page.locator("#search-results a[href*='data.html#mmccd.find_split']").first
    target.click()
    page.wait_for_url("**/docs/reference/python/data.html*#mmccd.find_split")


def test_a_block_of_code_is_copied(look_at):
    page = look_at("docs/reference/cli.html")
    block = page.locator("section#demo div.highlight").first
    block.hover()
    block.locator("button.copybtn").click()
    page.keyboard.press("Control+k")
    page.keyboard.press("Control+v")
    assert page.locator("input[type=search]:visible").first.input_value() == block.locator("pre").inner_text().strip()


def test_a_dark_page_stays_dark_on_the_next(look_at, site):
    page = look_at("docs/index.html", color_scheme="light")
    assert brightness(page) > LIGHT
    page.locator(".theme-switch-button:visible").click()
    page.get_by_role("button", name="Dark").click()
    page.goto((site / "docs" / "how-to" / "choose.html").as_uri())
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert brightness(page) < DARK
    assert page.locator("article p").first.evaluate(channel_mean("color")) > LIGHT


def test_a_page_is_dark_where_the_system_is(look_at):
    assert brightness(look_at("docs/index.html", color_scheme="dark")) < DARK


def brightness(page):
    return page.locator("body").evaluate(channel_mean("backgroundColor"))


def channel_mean(what):
    return f"node => getComputedStyle(node).{what}.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 3"


def test_nothing_overflows_a_narrow_screen_and_every_picture_is_there(look_at, site):
    """Every page, at the width of a small phone. Scripts, which take most of the time, move nothing."""
    page = look_at("docs/index.html", viewport={"width": 360, "height": 740}, java_script_enabled=False)
    wrong = []
    pages = pages_of(site)
    for path in pages:
        page.goto(path.as_uri())
        wide = page.evaluate(TOO_WIDE)
        missing = page.evaluate("[...document.images].filter(one => !one.naturalWidth).map(one => one.src)")
        if wide > 0 or missing:
            wrong.append((str(path.relative_to(site)), wide, missing))
    assert wrong == []
    assert len(pages) > 80


def test_no_page_names_a_file_of_another_host(site):
    """What a browser would load by itself: sources, style sheets, scripts, fonts. A link is followed by a reader."""
    other = r"((?:https?:)?//[^\"'\s>)]+)"
    of_pages = rf"<(?:script|img|iframe|source|video)\b[^>]*?\bsrc=[\"']?{other}|<link\b[^>]*?\bhref=[\"']?{other}"
    of_styles = rf"(?:url\(|@import\s)\s*[\"']?{other}"
    read = 0
    for pattern, pages in ((of_pages, site.rglob("*.html")), (of_styles, site.rglob("*.css"))):
        for path in pages:
            assert re.findall(pattern, path.read_text()) == [], path.relative_to(site)
            read += 1
    assert read > 100
    assert re.findall(of_pages, '<link rel="stylesheet" href="https://a.b/c.css"><script src=//a.b/c.js></script>')
    assert re.findall(of_styles, "src: url('https://a.b/c.woff2')")
