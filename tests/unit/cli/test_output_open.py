"""`--open`: the page, and nothing else, is shown, at the end; where nothing can show it, one line says so."""

import webbrowser

import pytest

from mmccd.cli.app import main
from mmccd.overview.demo import DemoResult, FirstResult


@pytest.fixture
def opened(monkeypatch):
    """What browsers were asked to show."""
    seen = []

    def show(url):
        seen.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", show)
    return seen


def test_a_report_is_shown_when_it_is_written(run, opened, predictions_folder, tmp_path):
    page = tmp_path / "a page.html"
    report = ("report", predictions_folder, "-o", page, "--no-viewer", "-q")
    assert run(*report)[0] == 0
    assert opened == []
    assert run(*report, "--open")[0] == 0
    assert opened == [page.as_uri()]
    assert "%20" in page.as_uri()


def test_a_report_of_which_a_case_failed_is_shown_with_its_exit_code(monkeypatch, opened, tmp_path):
    from mmccd.reporting.predictions import Written

    written = Written(tmp_path / "r.html", 10, 1, {"bad": "is empty"}, 0)
    monkeypatch.setattr("mmccd.reporting.report.report", lambda *_, **__: written)
    assert main(["report", str(tmp_path), "--open", "-q"]) == 3
    assert opened == [(tmp_path / "r.html").as_uri()]


def test_the_demo_shows_its_pages(run, opened, monkeypatch, tmp_path):
    class Fake:
        @staticmethod
        def table():
            return [["method", "Dice"], ["mmccd", "0.5"]]

    first = FirstResult(tmp_path / "first.html", tmp_path / "first.png")
    result = DemoResult({("t2", "MMCCD"): Fake()}, tmp_path / "m.png", tmp_path / "r.html")
    monkeypatch.setattr("mmccd.overview.demo.first_result", lambda *_, **__: first)
    monkeypatch.setattr("mmccd.overview.demo.demo", lambda *_, **__: result)
    assert run("demo", "-o", tmp_path)[0] == 0
    assert opened == []
    assert run("demo", "-o", tmp_path, "--open")[0] == 0
    assert opened == [(tmp_path / name).as_uri() for name in ("first.html", "r.html")]


@pytest.mark.parametrize("answer", [False, webbrowser.Error("could not locate runnable browser"), OSError("no fork")])
def test_without_a_browser_one_line_says_so(run, monkeypatch, predictions_folder, tmp_path, answer):
    def show(_):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(webbrowser, "open", show)
    page = tmp_path / "report.html"
    code, _, error = run("report", predictions_folder, "-o", page, "--no-viewer", "-q", "--open")
    assert code == 0
    assert error == f"warning: no browser could be started: open {page} in one yourself\n"
    assert page.is_file()
