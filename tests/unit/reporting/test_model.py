"""The page of a model."""

import json
import shutil

import pytest

from mmccd.errors import ModelError
from mmccd.model.model import model_folder as folder_of
from mmccd.reporting.model import losses_of, report_model


def page_of(folder, tmp_path, **settings):
    report_model(folder, "a <b> model", tmp_path / "page.html", **settings)
    return (tmp_path / "page.html").read_text()


def test_a_training_shows_its_curves_pictures_thresholds_and_settings(trained_folder, tmp_path):
    card = json.loads((trained_folder / "card.json").read_text())

    page = page_of(trained_folder, tmp_path)

    for title in ("Forward network, flair → t2", "Backward network, t2 → flair", "Restored whole"):
        assert title in page
    assert "after 4 steps" in page
    assert "data:image/png;base64," in page
    for kind in ("threshold", "scan_threshold", "relative_threshold"):
        assert card[kind]["guarantee"] in page
        assert card[kind]["criterion"].replace("'", "&#39;") in page
    assert "network.channels" in page
    assert card["provenance"]["versions"]["torch"] in page
    assert "a &lt;b&gt; model" in page
    assert "Not a medical device" in page


def test_pictures_that_name_subjects_can_be_left_out(trained_folder, tmp_path):
    assert "data:image/png" not in page_of(trained_folder, tmp_path, names=False)


def test_a_shipped_model_has_a_page_without_its_training(tmp_path):
    page = page_of(folder_of("builtin:flair"), tmp_path)

    assert "For voxels" in page
    assert 'id="training"' not in page


def test_a_fusion_names_its_members(tmp_path, model_folder):
    card = json.loads((model_folder / "card.json").read_text())
    fused = {key: value for key, value in card.items() if key not in ("config", "weights_sha256", "parameters")}
    shutil.copytree(model_folder, tmp_path / "fused" / "flair")
    (tmp_path / "fused" / "card.json").write_text(json.dumps(fused | {"members": ["flair", "t1"]}))

    page = page_of(tmp_path / "fused", tmp_path)

    assert "Fusion" in page
    assert "It adds up the evidence of models of FLAIR, T1." in page


def test_losses_of_resumed_runs_are_joined(tmp_path):
    runs = {"000000": "step,train/forward\n0,8\n1,4\n2,3\n", "000002": "step,train/forward\n2,2\n3,\n4,1\n"}
    for start, text in runs.items():
        folder = tmp_path / f"log_from_step_{start}"
        folder.mkdir()
        (folder / "metrics.csv").write_text(text)

    assert losses_of(tmp_path) == {"train/forward": ([1, 2, 3, 5], [8, 4, 2, 1])}


@pytest.mark.parametrize(("text", "said"), [("{", "is damaged"), ('{"format": 1}', "lacks")])
def test_a_damaged_card_is_refused(tmp_path, text, said):
    (tmp_path / "card.json").write_text(text)

    with pytest.raises(ModelError, match=said):
        report_model(tmp_path, "model", tmp_path / "page.html")
