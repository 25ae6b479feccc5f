"""The whole path, at the smallest size that has all its steps."""

from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from mmccd.data.volumes import read_volume
from mmccd.overview import demo as demo_module
from mmccd.overview.demo import demo
from mmccd.simulation.phantom import phantom


@pytest.fixture
def small(monkeypatch, inline, toy_config):
    training = toy_config.training.model_copy(update={"steps": 1, "validate_every": 1})
    monkeypatch.setattr(demo_module, "HEALTHY", 2)
    monkeypatch.setattr(demo_module, "LESIONED", 1)
    monkeypatch.setattr(demo_module, "SIZE_PX", 32)
    monkeypatch.setattr(demo_module, "phantom", partial(phantom, spacing_mm=4.0))
    monkeypatch.setattr(
        demo_module,
        "load_config",
        lambda names, overrides: toy_config.model_copy(
            update={"training": training, "method": overrides["method"], "seed": overrides["seed"]}
        ),
    )


def test_from_nothing_to_a_table_and_a_picture_and_finished_steps_are_kept(small, tmp_path, monkeypatch):
    steps = []

    @contextmanager
    def progress_of(name):
        steps.append(name)
        yield lambda *_: None

    def brain_of(head):  # in place of HD-BET
        brain = read_volume(tmp_path / "phantom" / "Phantom_0003" / "Phantom_0003_flair.nii.gz").data > 0
        margins = (np.array(head.data.shape) - brain.shape) // 2
        return np.pad(brain, [(margin, margin) for margin in margins])

    monkeypatch.setattr("mmccd.raw.brain.extract", brain_of)
    result = demo(tmp_path, seed=3, workers=1, progress_of=progress_of)

    methods = ("mmccd", "cyclic-unet")
    assert steps == [
        "phantom",
        "prepare",
        *(f"{verb} {m}" for m in methods for verb in ("train", "predict", "evaluate")),
        "predict builtin:flair",
        "evaluate builtin:flair",
        "report",
        "predict Phantom_0003_head_flair.nii.gz",
    ]
    assert list(result.evaluations) == [*methods, "builtin:flair"]
    for name, evaluation in result.evaluations.items():
        assert {row["case"] for row in evaluation.rows} == {"Phantom_0003"}  # only the unseen one
        named = {"veiled-cycle", "smoothed intensity"} if name == "builtin:flair" else {name}
        assert {row["method"] for row in evaluation.rows} == named | {"intensity threshold"}
    assert [line[0] for line in result.table()] == ["method", *methods, "builtin:flair", "intensity threshold"]
    assert result.preview.read_bytes().startswith(b"\x89PNG")
    assert (result.preview.parent / "Phantom_0003_head_flair_brain.nii.gz").is_file()
    assert "Phantom_0003" in result.page.read_text()
    assert result.montage.read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "mmccd" / "evaluation" / "table.md").is_file()
    assert '"seed": 3' in (tmp_path / "mmccd" / "model" / "card.json").read_text()

    def times():
        kept = ("phantom", "store", *(f"{method}/{part}" for method in methods for part in ("model", "predictions")))
        return {p: p.stat().st_mtime_ns for name in kept for p in (tmp_path / name).rglob("*")
                if p.is_file() and p.suffix not in (".csv", ".txt")}  # fmt: skip

    before = times()
    scan = tmp_path / "phantom" / "Phantom_0001" / "Phantom_0001_flair.nii.gz"
    again = demo(tmp_path, seed=3, workers=1, scan=scan, progress_of=progress_of)
    assert steps[12:] == [
        "phantom",
        "prepare",
        *(f"{verb} {m}" for m in (*methods, "builtin:flair") for verb in ("predict", "evaluate")),
        "report",
        "predict Phantom_0001_flair.nii.gz",
    ]
    assert again.preview != result.preview
    assert again.preview.read_bytes().startswith(b"\x89PNG")
    assert times() == before
