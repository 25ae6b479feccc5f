"""The whole path, at the smallest size that has all its steps."""

from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from mmccd.comparison.plan import training_config
from mmccd.data.volumes import read_volume
from mmccd.errors import DataError
from mmccd.overview import demo as demo_module
from mmccd.overview.demo import demo, first_result
from mmccd.simulation.phantom import phantom

MODELS = [("t2", "MMCCD"), ("t2", "Veiled cycle"), ("t2", "builtin:t2"), ("flair", "builtin:flair")]
INTENSITIES = ("intensity threshold", "smoothed intensity")


@pytest.fixture
def small(monkeypatch, inline, toy_config):
    def toy(plan, store, source, method):
        asked = training_config(plan, store, source, method)
        training = toy_config.training.model_copy(update={"steps": 1, "validate_every": 1})
        return asked.model_copy(
            update={"training": training, "network": toy_config.network, "diffusion": toy_config.diffusion}
        )

    monkeypatch.setattr(demo_module, "HEALTHY", 2)
    monkeypatch.setattr(demo_module, "LESIONED", 1)
    monkeypatch.setattr(demo_module, "SIZE_PX", 32)
    monkeypatch.setattr(demo_module, "phantom", partial(phantom, spacing_mm=4.0))
    monkeypatch.setattr(demo_module, "training_config", toy)


@pytest.fixture
def steps():
    return []


@pytest.fixture
def progress_of(steps):
    @contextmanager
    def begun(name):
        steps.append(name)
        yield lambda *_: None

    return begun


def made_in(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")
            if path.is_file() and path.suffix in (".gz", ".npy", ".safetensors", ".png")}  # fmt: skip


def test_a_scan_with_skull_comes_first(small, steps, progress_of, tmp_path, monkeypatch):
    def brain_of(head):  # in place of HD-BET
        (scan,) = (tmp_path / "first" / "phantom").glob("*/*_flair.nii.gz")
        brain = read_volume(scan).data > 0
        margins = (np.array(head.data.shape) - brain.shape) // 2
        return np.pad(brain, [(margin, margin) for margin in margins])

    monkeypatch.setattr("mmccd.raw.brain.extract", brain_of)
    first = first_result(tmp_path, seed=3, progress_of=progress_of)

    assert steps == ["simulate a head", "find the brain and score head_flair.nii.gz", "report"]
    assert first.picture.read_bytes().startswith(b"\x89PNG")
    assert "head_flair" in first.page.read_text()
    assert (first.picture.parent / "head_flair_brain.nii.gz").is_file()
    before = made_in(tmp_path)
    assert first_result(tmp_path, seed=3, progress_of=progress_of) == first
    assert made_in(tmp_path) == before


def test_without_hd_bet_the_first_scan_has_no_skull(small, progress_of, tmp_path, monkeypatch):
    monkeypatch.setattr(demo_module, "find_spec", lambda _: None)
    first = first_result(tmp_path, progress_of=progress_of)
    assert first.picture.name == "Phantom_0001_flair.png"
    assert not list(first.picture.parent.glob("*_brain.nii.gz"))


def test_a_scan_of_ones_own_takes_its_place(small, steps, progress_of, tmp_path, healthy_scan):
    first = first_result(tmp_path, scan=healthy_scan, progress_of=progress_of)
    assert steps == [f"find the brain and score {healthy_scan.name}", "report"]
    assert first.picture.read_bytes().startswith(b"\x89PNG")


def test_a_scan_that_cannot_be_read_ends_it_at_once(small, progress_of, tmp_path):
    damaged = tmp_path / "mine.nii.gz"
    damaged.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"mine\.nii\.gz"):
        first_result(tmp_path / "demo", scan=damaged, progress_of=progress_of)


def test_from_nothing_to_a_table_and_a_page_and_finished_steps_are_kept(small, steps, progress_of, tmp_path):
    result = demo(tmp_path, seed=3, workers=1, progress_of=progress_of)

    scored = ["evaluate", "predict with builtin:t2", "evaluate", "predict with builtin:flair", "evaluate", "report"]
    own = [f"predict with {tmp_path / method / 'model'}" for method in ("mmccd", "veiled-cycle")]
    assert steps == [
        "simulate a cohort", "prepare", "train mmccd", own[0], "evaluate", "train veiled-cycle", own[1], *scored,
    ]  # fmt: skip
    assert list(result.evaluations) == MODELS
    for evaluation in result.evaluations.values():
        assert {row["case"] for row in evaluation.rows} == {"Phantom_0003"}  # only the unseen one
    models = {"T2": ["MMCCD", "Veiled cycle", "builtin:t2"], "FLAIR": ["builtin:flair"]}
    assert [line[0] for line in result.table()] == [
        "method", *(f"{name}: {row}" for name, rows in models.items() for row in (*rows, *INTENSITIES)),
    ]  # fmt: skip
    assert "Phantom_0003" in result.page.read_text()
    assert result.montage.read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "mmccd" / "evaluation" / "table.md").is_file()
    card = (tmp_path / "mmccd" / "model" / "card.json").read_text()
    assert '"seed": 3' in card
    assert '"source": "t2"' in card

    kept = {p: t for p, t in made_in(tmp_path).items() if p.parent.name != "evaluation"}
    steps.clear()
    again = demo(tmp_path, seed=3, workers=1, progress_of=progress_of)
    assert steps == ["simulate a cohort", "prepare", own[0], "evaluate", own[1], *scored]
    assert again.table() == result.table()
    assert {p: t for p, t in made_in(tmp_path).items() if p.parent.name != "evaluation"} == kept
