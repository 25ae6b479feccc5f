"""The methods text says what ran, and only that."""

import re

import pytest

from mmccd.data.case_record import CaseRecord, read_case_record
from mmccd.method.registry import METHODS
from mmccd.model.config import load_config
from mmccd.model.folder import read_card
from mmccd.reporting.methods_text import Scored, methods_of_model, methods_of_predictions


@pytest.fixture
def record(predictions_folder):
    return read_case_record(predictions_folder / "Phantom_0007.json")


@pytest.fixture
def card(model_folder):
    return read_card(model_folder)


def test_scans_method_threshold_and_promise_are_named(record, card):
    text, references = methods_of_predictions(Scored.of([record, record]), card, expert=True, viewer=True)

    assert "2 skull-stripped FLAIR scans" in text
    assert "by the Cyclic U-Net through T2" in text
    assert f"Voxels above {record.threshold:.4g} were marked" in text
    assert record.threshold_origin.guarantee in text
    assert "trained for 4 steps" in text
    assert f"{record.provenance['versions']['torch']}, " in text
    assert "Expert masks were drawn beside the results" in text
    assert "not a medical device" in text
    cited = re.findall(r"\[(\d)\]", text)
    assert cited == sorted(cited)  # numbered in the order of the text
    assert len(references) == len(set(cited)) == 6
    assert "mmccd" in references[0]
    assert any("NiiVue" in reference for reference in references)


def test_what_was_removed_for_being_small_is_said(record):
    def text(*least_ml):
        records = [record.model_copy(update={"min_lesion_ml": least}) for least in least_ml]
        return methods_of_predictions(Scored.of(records), None, expert=False, viewer=False)[0]

    assert "smaller than" not in text(0.0, 0.0)
    assert "Parts smaller than 0.5 ml were removed from the masks: less is marked" in text(0.5, 0.5)
    assert "Parts smaller than 0.5 ml were removed from the masks of 1 scans: less" in text(0.5, 0.0)


def test_what_is_not_known_is_not_said(record):
    text, references = methods_of_predictions(Scored.of([record]), None, expert=False, viewer=False)

    assert "1 skull-stripped FLAIR scan " in text
    assert "steps" not in text
    assert "Expert" not in text
    assert not any("NiiVue" in reference for reference in references)


def test_each_threshold_has_its_own_theorem_and_a_brain_mask_is_no_stripped_skull(record, card):
    origin = record.origin | {"brain": "0" * 64}
    other = record.model_copy(update={"threshold": 0.25, "threshold_origin": card.scan_threshold, "origin": origin})
    text, _ = methods_of_predictions(Scored.of([record, other]), card, expert=False, viewer=False)

    assert "in 2 FLAIR scans" in text
    plain, scan = text.split("Voxels above 0.25 were marked in 1 scans.")
    assert f"Voxels above {record.threshold:.4g} were marked in 1 scans." in plain
    assert re.search(r"\(conformal risk control \[\d\]: on average at most", plain)
    assert re.search(r"\(split-conformal prediction \[\d\]: at most", scan)


def test_relative_thresholds_of_many_scans_are_one_sentence(record, card):
    relative = card.relative_threshold
    records = [record.model_copy(update={"threshold": 2.0 + i, "threshold_origin": relative}) for i in range(3)]
    text, _ = methods_of_predictions(Scored.of(records), card, expert=False, viewer=False)
    marked = f"Voxels that exceed the upper quartile of the scan's own scores by more than {relative.value:.4g} were"
    assert text.count("Voxels ") == text.count(marked) == 1


def test_the_text_of_a_model_names_its_references_by_number(card):
    text, references = methods_of_model(card)
    assert "[@" not in text
    assert [int(n) for n in dict.fromkeys(re.findall(r"\[(\d)\]", text))] == list(range(1, len(references) + 1))


@pytest.mark.parametrize("method", METHODS)
def test_all_that_a_method_rests_on_is_cited_and_numbered(record, card, method):
    """In the page of its model, and in that of its predictions; and the way it works is said."""
    about = METHODS[method].about
    assert about.references
    targets = {"targets": ["t2"]} if about.targets != "none" else {}
    of_method = card.model_copy(update={"config": load_config("tiny", {"method": method, **targets})})
    predicted = record.model_copy(update={"model": type(record.model)(method=method)})
    for text, references in (
        methods_of_model(of_method),
        methods_of_predictions(Scored.of([predicted]), of_method, expert=False, viewer=False),
    ):
        assert set(about.references) <= set(references)
        numbers = [int(number) for marks in re.findall(r"\[(\d[\d, ]*)\]", text) for number in marks.split(", ")]
        assert list(dict.fromkeys(numbers)) == list(range(1, len(references) + 1))
        assert len(references) == len(set(references))
        own = ", ".join(str(references.index(reference) + 1) for reference in about.references)
        assert re.search(rf"{re.escape(about.phrase)}( through [A-Z0-9, ]+)? \[{own}\]", text)
        assert "@" not in text


def test_a_method_that_is_not_known_here_is_named_and_cites_nothing_of_its_own(record):
    """A fusion, or a method of a later version."""
    predicted = record.model_copy(update={"model": type(record.model)(method="fusion of flair, t2")})
    text, references = methods_of_predictions(Scored.of([predicted]), None, expert=False, viewer=False)
    assert "by fusion of flair, t2: tissue" in text
    assert not any("Modality Cycles" in reference for reference in references)


def test_an_old_record_that_says_less_still_gives_a_text(record):
    values = {key: value for key, value in record.as_json().items() if key not in ("provenance", "p_value_of")}
    del values["threshold_origin"]["subjects"], values["threshold_origin"]["chosen_on"]
    old = CaseRecord.model_validate(values)

    text, _ = methods_of_predictions(Scored.of([old]), None, expert=False, viewer=False)

    assert "chosen on healthy slices of ? subjects" in text
    assert "the share of ? healthy reference subjects" in text
    assert "unrecorded versions" in text
    assert "on an unknown device" in text


@pytest.mark.parametrize(
    ("weights", "words"), [((3.0,), "weight 3 times 1 mm)"), ((2.0, 8.0), "weight 2 and 8 times 1 mm, the")]
)
def test_denoising_is_described_with_its_source(weights, words):
    shipped = read_card("builtin:flair")
    scoring = shipped.config.scoring.model_copy(update={"total_variation": weights})
    card = shipped.model_copy(update={"config": shipped.config.model_copy(update={"scoring": scoring})})
    text, references = methods_of_model(card)
    assert words in text
    assert "Gaussian" not in text
    assert any("Beck A, Teboulle M" in reference for reference in references)


@pytest.mark.parametrize("name", ["builtin:flair", "builtin:t1", "builtin:t2"])
def test_models_that_ship_describe_their_training(name):
    shipped = read_card(name)

    text, references = methods_of_model(shipped)

    assert f"{shipped.parameters:,} parameters" in text
    assert shipped.threshold.criterion in text
    assert f"(polarity: {'dark' if name == 'builtin:t1' else 'bright'})" in text
    assert "was chosen once before, on lesions of 32 patients" in text
    assert any("2308.16150" in reference for reference in references)


def test_brains_that_were_found_are_said_with_what_found_them(record, card):
    head = record.model_copy(update={"brain_from": "HD-BET, one of five networks, unmirrored"})
    text, references = methods_of_predictions(Scored.of([head, record]), card, expert=False, viewer=False)
    assert "in 2 FLAIR scans" in text
    assert "The brains of 1 scan were extracted by HD-BET" in text
    assert any("Automated brain extraction" in reference for reference in references)
