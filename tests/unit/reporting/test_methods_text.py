"""The methods text says what ran, and only that."""

import copy
import json
import re

import pytest

from mmccd.model import model as model_file
from mmccd.model.model import CARD
from mmccd.reporting.methods_text import methods_of_model, methods_of_predictions


@pytest.fixture
def record(predictions_folder):
    return json.loads((predictions_folder / "Phantom_0007.json").read_text())


@pytest.fixture
def card(model_folder):
    return json.loads((model_folder / CARD).read_text())


def test_scans_method_threshold_and_promise_are_named(record, card):
    text, references = methods_of_predictions([record, record], card, expert=True, viewer=True)

    assert "2 skull-stripped FLAIR scans" in text
    assert "by the Cyclic U-Net through T2" in text
    assert f"Voxels above {record['threshold']:.4g} were marked" in text
    assert record["threshold_origin"]["guarantee"] in text
    assert "trained for 4 steps" in text
    assert f"{record['provenance']['versions']['torch']}, " in text
    assert "Expert masks were drawn beside the results" in text
    assert "not a medical device" in text
    cited = re.findall(r"\[(\d)\]", text)
    assert cited == sorted(cited)  # numbered in the order of the text
    assert len(references) == len(set(cited)) == 6
    assert "mmccd" in references[0]
    assert any("NiiVue" in reference for reference in references)


def test_what_is_not_known_is_not_said(record):
    text, references = methods_of_predictions([record], None, expert=False, viewer=False)

    assert "1 skull-stripped FLAIR scan " in text
    assert "steps" not in text
    assert "Expert" not in text
    assert not any("NiiVue" in reference for reference in references)


def test_each_threshold_has_its_own_theorem_and_a_brain_mask_is_no_stripped_skull(record, card):
    other = copy.deepcopy(record)
    other["threshold"], other["threshold_origin"] = 0.25, card["scan_threshold"]
    other["origin"]["brain"] = "0" * 64
    text, _ = methods_of_predictions([record, other], card, expert=False, viewer=False)

    assert "in 2 FLAIR scans" in text
    plain, scan = text.split("Voxels above 0.25 were marked in 1 scans.")
    assert f"Voxels above {record['threshold']:.4g} were marked in 1 scans." in plain
    assert re.search(r"\(conformal risk control \[\d\]: on average at most", plain)
    assert re.search(r"\(split-conformal prediction \[\d\]: at most", scan)


def test_relative_thresholds_of_many_scans_are_one_sentence(record, card):
    records = [copy.deepcopy(record) for _ in range(3)]
    for i, one in enumerate(records):
        one["threshold"], one["threshold_origin"] = 2.0 + i, card["relative_threshold"]
    text, _ = methods_of_predictions(records, card, expert=False, viewer=False)
    value = card["relative_threshold"]["value"]
    marked = f"Voxels that exceed the upper quartile of the scan's own scores by more than {value:.4g} were marked."
    assert text.count("Voxels ") == text.count(marked) == 1


def test_the_text_of_a_model_names_its_references_by_number(card):
    text, references = methods_of_model(card)
    assert "[@" not in text
    assert [int(n) for n in dict.fromkeys(re.findall(r"\[(\d)\]", text))] == list(range(1, len(references) + 1))


def test_an_old_record_without_its_model_still_gives_a_text(record):
    old = copy.deepcopy(record)
    for key in ("model", "provenance", "p_value_of"):
        del old[key]

    text, _ = methods_of_predictions([old], None, expert=False, viewer=False)

    assert "an unnamed method" in text
    assert "unrecorded versions" in text


@pytest.mark.parametrize("name", ["builtin:flair", "builtin:t1", "builtin:t2"])
def test_models_that_ship_describe_their_training(name):
    shipped = json.loads((model_file.model_folder(name) / CARD).read_text())

    text, references = methods_of_model(shipped)

    assert f"{shipped['parameters']:,} parameters" in text
    assert shipped["threshold"]["criterion"] in text
    assert f"(polarity: {'dark' if name == 'builtin:t1' else 'bright'})" in text
    assert "was chosen once before, on lesions of 32 patients" in text
    assert any("2308.16150" in reference for reference in references)
