"""Pages in a browser that people use: they open, sort, show volumes, and run nothing that came with the data.

Needs Chromium (`apt-get install chromium`) and is skipped, loudly, without it.
"""

import io
import json
import shutil
import time
from itertools import pairwise

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from mmccd.reporting.predictions import Settings, report_predictions

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Software rendering: machines that run tests have no GPU. Root, as in containers, has no sandbox.
FLAGS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox", "--disable-dev-shm-usage"]
HOSTILE = (
    "<img src=x onerror=window.hacked=1>",
    "\"'onmouseover=window.hacked=1",
    "right\u202eto\u2066left",
    "two\nlines {{ 7*7 }} &lt;",
)


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

    def call(path, **settings):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("dialog", lambda dialog: heard.append("dialog"))
        address = path.as_uri()
        page.on("request", lambda asked: None if asked.url.startswith(("data:", "blob:", address))
                else heard.append(f"request: {asked.url}"))  # fmt: skip
        page.goto(address, wait_until="load")
        return page

    yield call
    for context in contexts:
        context.close()
    assert heard == []


@pytest.fixture(scope="module")
def report(predictions_folder, phantom_folder, model_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report_predictions(predictions_folder, path, Settings(scans=(phantom_folder,), model=model_folder))
    return path


def screenshot(locator):
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(int)


def open_viewer(page, index=0):
    page.locator(".viewer").nth(index).locator(".open-viewer").click()
    page.wait_for_selector(".viewer-box[data-ready=yes]", timeout=20_000)
    page.wait_for_timeout(150)  # what is drawn last
    return page.locator(".viewer canvas")


def test_tables_are_sorted_by_a_click_and_say_so(report, visit):
    page = visit(report)
    head = page.locator("table.sortable thead th", has_text="Score").first

    def scores():
        return [float(text) for text in page.locator("table.sortable tbody td:nth-child(2)").all_inner_texts()]

    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert scores() == sorted(scores(), reverse=True)
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert scores() == sorted(scores())
    page.locator("thead th", has_text="Scan").first.locator("button").click()
    assert page.locator("th[aria-sort]").count() == 1


def test_the_viewer_shows_a_volume_follows_its_controls_and_is_the_only_one_alive(report, visit):
    page = visit(report)
    page.set_viewport_size({"width": 640, "height": 420})  # few pixels: they are rendered without a GPU
    assert page.locator("canvas").count() == 0  # none before it is asked for
    canvas = open_viewer(page)

    pictures = {}
    for view in ("All planes", "3D", "Axial"):
        page.get_by_role("button", name=view, exact=True).click()
        page.wait_for_timeout(150)
        pictures[view] = screenshot(canvas)
        assert (pictures[view].max(axis=2) > 60).mean() > 0.02, view  # tissue
    assert all(np.abs(one - other).mean() > 1 for one, other in pairwise(pictures.values()))

    amounts = []
    for percent in ("300", "0"):
        page.locator("[data-above]").fill(percent)
        page.wait_for_timeout(150)
        shot = screenshot(canvas)
        amounts.append(int((shot.max(axis=2) - shot.min(axis=2) > 60).sum()))
    assert amounts[0] < amounts[1]  # a lower threshold colours more

    before = page.locator(".viewer-status").inner_text()
    canvas.press("ArrowUp")
    assert " mm" in before != page.locator(".viewer-status").inner_text()

    open_viewer(page, 1)
    assert page.locator("canvas").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("canvas").count() == 0
    assert page.evaluate("document.activeElement.textContent") == "Open the viewer"


def test_the_theme_follows_the_system_and_the_button(report, visit):
    def paper(page):
        return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    dark = visit(report, color_scheme="dark")
    assert paper(dark) == "rgb(16, 20, 24)"
    dark.locator("#theme").click()
    assert paper(dark) == "rgb(246, 247, 248)"
    assert paper(visit(report, color_scheme="light")) == "rgb(246, 247, 248)"


def test_the_methods_can_be_copied_and_paper_shows_the_disclaimer(report, visit):
    page = visit(report)
    page.get_by_role("button", name="Copy text").click()
    page.wait_for_selector(".copied:not(:empty)")
    page.emulate_media(media="print")
    assert page.locator(".disclaimer").is_visible()
    assert not page.locator(".open-viewer").first.is_visible()


def test_a_narrow_screen_has_no_sideways_scroll(report, visit):
    page = visit(report)
    page.set_viewport_size({"width": 390, "height": 800})

    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_hostile_names_and_messages_run_nothing(predictions_folder, phantom_folder, tmp_path, visit):
    case, evil = "Phantom_0007", "</script><script>window.hacked=1</script><style>*{display:none}</style>"
    folder = tmp_path / "in"
    folder.mkdir()
    for name in HOSTILE:
        record = json.loads((predictions_folder / f"{case}.json").read_text()) | {"case": name, "warnings": [evil]}
        record["threshold_origin"] |= {"criterion": evil, "guarantee": evil}
        record["model"] = {"method": evil, "targets": [evil]}
        (folder / f"{name}.json").write_text(json.dumps(record))
        for end in ("_anomaly.nii.gz", "_mask.nii.gz"):
            shutil.copy(predictions_folder / f"{case}{end}", folder / f"{name}{end}")
    (folder / f"{HOSTILE[0]}2.json").write_text("{")
    (folder / "summary.csv").write_text(f'case,status,error,hint\n"{evil}",failed,"{evil}","{evil}"\n')
    report_predictions(folder, tmp_path / "page.html", Settings(scans=(phantom_folder,)))

    page = visit(tmp_path / "page.html")

    assert page.evaluate("typeof window.hacked") == "undefined"
    assert page.locator("article h3").count() == len(HOSTILE)
    shown = page.locator("article h3").all_text_contents()
    assert sorted(shown) == sorted(HOSTILE)
    assert page.locator("img").count() == 0
    assert page.locator("main").is_visible()


def test_a_page_refuses_a_script_that_is_not_its_own(report, browser, tmp_path):
    """The policy itself, so that an escape that was forgotten does no harm."""
    spoilt = tmp_path / "spoilt.html"
    evil = '<img src="x" onerror="window.hacked=1"><script>window.hacked=2</script>'
    spoilt.write_text(report.read_text().replace("<main", f"{evil}<main", 1))
    page = browser.new_page()
    page.goto(spoilt.as_uri(), wait_until="load")

    assert page.evaluate("typeof window.hacked") == "undefined"
    page.close()


@pytest.mark.slow
def test_a_page_of_ten_large_scans_is_small_and_opens_at_once(detector, tmp_path, visit):
    """Ten scans of 1.2 mm: less than 30 MB and three seconds."""
    from mmccd.prediction.predict import predict
    from mmccd.simulation.phantom import phantom

    phantom(tmp_path / "data", subjects=1, lesions=1, seed=3, spacing_mm=1.2, workers=1)
    scans = tmp_path / "scans"
    scans.mkdir()
    (source,) = (tmp_path / "data").glob("Phantom_0002/*_flair.nii.gz")
    image = nib.load(source)
    for index in range(10):  # other noise each: nothing compresses better than in life
        values = image.get_fdata(dtype=np.float32)
        values[values > 0] *= np.random.default_rng(index).normal(1, 0.03, int((values > 0).sum()))
        nib.save(nib.Nifti1Image(values, image.affine), scans / f"scan{index}.nii.gz")
    predict(detector, [scans], tmp_path / "out")
    written = report_predictions(tmp_path / "out", tmp_path / "page.html", Settings(scans=(scans,)))

    started = time.perf_counter()
    page = visit(tmp_path / "page.html")
    seconds = time.perf_counter() - started
    open_viewer(page)

    assert written.size < 30e6
    assert page.locator(".viewer").count() == 10
    assert seconds < 3, f"{seconds:.1f} s, {written.size / 1e6:.1f} MB"
    print(f"{written.size / 1e6:.1f} MB, opened in {seconds:.2f} s")
