import pytest

from mmccd.system import progress
from mmccd.system.progress import no_progress, reported_progress


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_at_the_start_now_and_then_and_at_the_end(capsys, clock):
    with reported_progress("train") as report:
        for done in range(101):
            clock[0] = done * 0.5
            report("loss 0.1", done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train: 0/100 loss 0.1 (0 s)"
    assert lines[1] == "train: 20/100 loss 0.1 (10 s, about 40 s left)"
    assert [line.split()[1] for line in lines] == [f"{n}/100" for n in (0, 20, 40, 60, 80, 100)]
    assert lines[-1].endswith("(50 s)")


def test_the_time_left_counts_from_where_a_resumed_run_began(capsys, clock):
    with reported_progress("train") as report:
        for done in (1000, 1100):
            clock[0] += 30
            report("loss 0.1", done, 2000)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "train: 1000/2000 loss 0.1 (30 s)"
    assert second == "train: 1100/2000 loss 0.1 (60 s, about 4 min left)"


def test_the_time_left_counts_anew_where_other_things_are_counted(capsys, clock):
    with reported_progress("benchmark") as report:
        for what, done, total in (("DAE", 3, 5), ("steps of DAE", 0, 600), ("steps of DAE", 6, 600), ("AE", 4, 5)):
            clock[0] += 120
            report(what, done, total)
    assert capsys.readouterr().err.splitlines() == [
        "benchmark: 3/5 DAE (2 min)",
        "benchmark: 0/600 steps of DAE (4 min)",
        "benchmark: 6/600 steps of DAE (6 min, about 3.3 h left)",
        "benchmark: 4/5 AE (8 min)",
    ]


def test_quiet_means_nothing(capsys):
    with reported_progress("train", quiet=True) as report:
        report("x", 1, 1)
    no_progress("x", 1, 1)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    with reported_progress("train") as report:
        report("loss 0.1", 3, 4)
        report("loss 0.05", 4, 4)
    captured = capsys.readouterr()
    assert "train  loss 0.05" in captured.err
    assert "4/4" in captured.err
    assert captured.out == ""
