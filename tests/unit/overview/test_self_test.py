"""The known answer: that it is that of the model which ships, however that is computed, and that others are told."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmccd.model.folder import load_model, read_card
from mmccd.overview import self_test as module
from mmccd.overview.self_test import KNOWN, KNOWN_OF, MODEL, TOLERANCE, Answer, answer_of, self_test
from mmccd.prediction.detector import Detector

RENEW = "the model or the phantom has changed: renew KNOWN and KNOWN_OF in overview/self_test.py"


def test_the_known_answer_is_that_of_the_weights_that_ship():
    assert read_card(MODEL).weights_sha256 == KNOWN_OF, RENEW


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_the_answer_is_the_known_one_well_within_the_tolerance(precision):
    """A tenth of it, so that a change of the answer is noticed here before it is by a user."""
    model = load_model(MODEL)
    training = model.config.training.model_copy(update={"precision": precision})
    model = replace(model, config=model.config.model_copy(update={"training": training}))
    found = answer_of(Detector(model, device="cpu"))
    assert abs(found.score - KNOWN.score) < TOLERANCE.score / 10, RENEW
    assert abs(found.marked_ml - KNOWN.marked_ml) < TOLERANCE.marked_ml / 10, RENEW


@pytest.mark.parametrize(
    ("answer", "near"),
    [
        (KNOWN, True),
        (Answer(KNOWN.score + 0.04, KNOWN.marked_ml - 0.9), True),
        (Answer(KNOWN.score - 0.06, KNOWN.marked_ml), False),
        (Answer(KNOWN.score, KNOWN.marked_ml + 1.1), False),
        (Answer(float("nan"), KNOWN.marked_ml), False),
    ],
)
def test_what_is_near(answer, near):
    assert answer.is_near(KNOWN) is near


def test_a_machine_that_computes_wrongly_is_broken(monkeypatch):
    """Weights that are a hundredth off, as if a kernel were."""
    spoilt = load_model(MODEL)
    with torch.no_grad():
        for weight in spoilt.method.parameters():
            weight.mul_(1.01)
    detector = Detector(spoilt, device="cpu")
    monkeypatch.setattr("mmccd.prediction.detector.Detector.load", lambda *_, **__: detector)
    found = self_test()
    assert found.state == "broken", found
    assert "trust no result" in found.remedy


def test_a_machine_that_computes_rightly_says_what_it_found(monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr(module, "answer_of", lambda _: Answer(4.5303, 76.0))
    found = self_test()
    assert found.state == "ok"
    assert "score 4.530 (known 4.531 ± 0.05), marked 76.0 ml (known 76.0 ± 1)" in found.found
    assert torch.get_num_threads() == threads


def test_the_tolerance_is_the_one_that_is_documented():
    page = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text()
    assert f"within {TOLERANCE.score:g} nats and {TOLERANCE.marked_ml:g} ml" in page
