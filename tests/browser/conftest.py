"""Chromium, where it is installed (`apt-get install chromium`); tests that need it are skipped, loudly, elsewhere."""

import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Software rendering: machines that run tests have no GPU. Root, as in containers, has no sandbox.
FLAGS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox", "--disable-dev-shm-usage"]


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'mmccd[dev]'")
    if CHROMIUM is None:
        pytest.skip("no Chromium here, so no page was looked at: apt-get install chromium")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """Open a page from its file and hear of everything that it complains about, asks for or opens."""
    contexts, heard = [], []

    def call(path, also=None, chatter=None, **settings):
        """A page, and pages below a folder that it may lead to; ``chatter`` is how messages begin that say nothing."""
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: None if chatter and message.text.startswith(chatter)
                else heard.append(f"{message.type}: {message.text}"))  # fmt: skip
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("dialog", lambda dialog: heard.append("dialog"))
        address = path.as_uri()
        known = ("data:", "blob:", address, *([also.as_uri()] if also else []))
        page.on("request", lambda asked: None if asked.url.startswith(known)
                else heard.append(f"request: {asked.url}"))  # fmt: skip
        page.goto(address, wait_until="load")
        return page

    yield call
    for context in contexts:
        context.close()
    assert heard == []
