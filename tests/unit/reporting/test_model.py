"""The page of a model."""

import json
import re
import shutil

import pytest

from mmccd.errors import ModelError
from mmccd.model.card import Data
from mmccd.model.config import load_config
from mmccd.model.folder import load_model, read_card, save_fusion, save_model
from mmccd.model.folder import model_folder as folder_of
from mmccd.model.model import Model
from mmccd.reporting.model import report_model
from mmccd.training.train import Hardware, train


def page_of(folder, tmp_path, **settings):
    report_model(folder, "a <b> model", tmp_path / "page.html", **settings)
    return (tmp_path / "page.html").read_text()


def test_a_training_shows_its_curves_pictures_thresholds_and_settings(trained_folder, tmp_path):
    card = read_card(trained_folder)

    page = page_of(trained_folder, tmp_path)

    for title in (
        "Forward network, flair → t2",
        "Backward network, t2 → flair",
        "Healthy tissue, restored by the cheapest sampler",
    ):
        assert title in page
    assert "after 4 steps" in page
    assert "data:image/png;base64," in page
    for threshold in (card.threshold, card.scan_threshold, card.relative_threshold):
        assert threshold.guarantee in page
        assert threshold.criterion.replace("'", "&#39;") in page
    assert "network.channels" in page
    assert card.provenance["versions"]["torch"] in page
    assert "a &lt;b&gt; model" in page
    assert "Not a medical device" in page


def test_pictures_that_name_subjects_can_be_left_out(trained_folder, tmp_path):
    assert "data:image/png" not in page_of(trained_folder, tmp_path, names=False)


def test_a_shipped_model_has_a_page_without_its_training(tmp_path):
    page = page_of(folder_of("builtin:flair"), tmp_path)

    assert all(f"<h3>{kind}: " in page for kind in ("Voxel", "Scan", "Relative"))
    assert 'id="training"' not in page


def test_a_fusion_names_its_members(tmp_path, model_folder):
    card = json.loads((model_folder / "card.json").read_text())
    fused = {key: value for key, value in card.items() if key not in ("config", "weights_sha256", "parameters")}
    shutil.copytree(model_folder, tmp_path / "fused" / "flair")
    (tmp_path / "fused" / "card.json").write_text(json.dumps(fused | {"members": ["flair", "t1"]}))

    page = page_of(tmp_path / "fused", tmp_path)

    assert "Fusion" in page
    assert "It joins the models FLAIR, T1: evidence of different modalities is added up" in page


def test_a_fusion_that_was_trained_nowhere_says_what_it_was_calibrated_to(tmp_path, model_folder):
    """As `mmccd fuse` writes it: the card of a fusion has no training of its own."""
    member = load_model(model_folder)
    other = Model(
        member.method,
        member.error,
        member.config.model_copy(update={"source": "t2", "targets": ("flair",)}),
        member.card,
    )
    parts = tuple(
        save_model(tmp_path / "fused" / one.config.source, one.method, one.error, one.config, one.card)
        for one in (member, other)
    )
    nothing = {"training_data": Data(), "training": None, "config": None, "parameters": 0, "weights_sha256": ""}
    save_fusion(tmp_path / "fused", parts, member.card.model_copy(update=nothing))

    page = page_of(tmp_path / "fused", tmp_path)

    assert "FLAIR + T2" in page
    assert "Learnt from" not in page
    assert "<dt>split</dt>" not in page
    assert member.card.threshold.guarantee in page
    assert page.count("<dt>member</dt>") == 2


def test_a_veiled_cycle_has_a_curve_of_each_loss_with_its_own_axis(phantom_store, toy_settings, tmp_path):
    """The loss that it lives by comes first; that of sigma is no squared error, and may be negative."""
    config = load_config("tiny", {**toy_settings, "method": "veiled-cycle"})
    train(phantom_store, tmp_path / "model", config, hardware=Hardware(device="cpu"))

    page = page_of(tmp_path / "model", tmp_path)

    training = page.partition('<section id="training"')[2].partition("</section>")[0]
    charts = {
        title: (re.findall(r"<text[^>]*>([^<]*)</text>", chart), re.findall(r'<polyline class="curve (\w+)"', chart))
        for title, chart in re.findall(r"<h3>([^<]*)</h3>(<svg.*?</svg>)", training, re.DOTALL)
    }
    assert list(charts) == [
        "Straight back, flair → flair",
        "Forward network, flair → t2",
        "Both networks, flair → t2 → flair",
        "Expected error",
        "Healthy tissue, restored by the cheapest sampler",
    ]
    for title, (labels, lines) in charts.items():
        of_sigma = title == "Expected error"
        assert ("Gaussian negative log-likelihood" in labels) == of_sigma
        assert ("mean squared error" in labels) != of_sigma
        assert sorted(lines) == (["marked"] if title.startswith("Healthy") else ["marked", "quiet"])


@pytest.mark.parametrize(("text", "said"), [("{", "is damaged"), ('{"format": 1}', "lacks")])
def test_a_damaged_card_is_refused(tmp_path, text, said):
    (tmp_path / "card.json").write_text(text)

    with pytest.raises(ModelError, match=said):
        report_model(tmp_path, "model", tmp_path / "page.html")
