"""What kind of folder lies before us, by the files that this program writes."""

import json

import pytest

from mmccd.data.own_folders import (
    ANOMALY_END,
    CARD,
    DESCRIPTION,
    MANIFEST,
    MASK_END,
    NAMES,
    RESULTS,
    SUMMARY,
    check_vacant,
    is_own_dataset,
    kind_of,
    results_in,
)
from mmccd.errors import ConfigError

WRITTEN = {
    "store": [MANIFEST],
    "model": [CARD],
    "benchmark": [RESULTS],
    "predictions": [SUMMARY],
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_folder_is_known_by_what_was_written_into_it(tmp_path, kind):
    for name in WRITTEN[kind]:
        (tmp_path / name).write_text("{}")
    (tmp_path / "notes.txt").touch()

    assert kind_of(tmp_path) == kind
    assert kind in NAMES


def test_maps_without_their_summary_are_predictions(tmp_path):
    (tmp_path / f"p1{ANOMALY_END}").touch()

    assert kind_of(tmp_path) == "predictions"


@pytest.mark.parametrize("name", [None, "notes.txt", f"p1{MASK_END}", "p1.json", f"inner/{MANIFEST}"])
def test_other_folders_are_of_no_kind(tmp_path, name):
    if name:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert kind_of(tmp_path) is None


@pytest.mark.parametrize("name", [MANIFEST, CARD, RESULTS, SUMMARY])
def test_a_folder_of_that_name_is_no_file(tmp_path, name):
    (tmp_path / name).mkdir()

    assert kind_of(tmp_path) is None


def test_what_is_no_folder_is_of_no_kind(tmp_path):
    (tmp_path / "file").touch()

    assert kind_of(tmp_path / "file") is None
    assert kind_of(tmp_path / "gone") is None


@pytest.mark.parametrize(("name", "said"), [(MANIFEST, "is a prepared store"), (CARD, "already holds a model")])
def test_a_model_needs_a_folder_without_another_or_a_store(tmp_path, name, said):
    check_vacant(tmp_path)
    check_vacant(tmp_path / "new")
    (tmp_path / name).write_text("{}")

    with pytest.raises(ConfigError, match=said) as caught:
        check_vacant(tmp_path)
    assert "choose another folder" in caught.value.hint


@pytest.mark.parametrize("name", [RESULTS, SUMMARY, "notes.txt"])
def test_a_model_may_lie_beside_results(tmp_path, name):
    (tmp_path / name).touch()

    check_vacant(tmp_path)


def test_derivatives_of_ours_are_known_by_what_made_them(tmp_path):
    (tmp_path / DESCRIPTION).write_text(json.dumps({"GeneratedBy": [{"Name": "x"}, {"Name": "mmccd"}]}))

    assert kind_of(tmp_path) == "derivatives"
    assert results_in(tmp_path) == tmp_path / "sourcedata" / "mmccd"
    assert results_in(tmp_path / "mmccd") == tmp_path / "mmccd"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"GeneratedBy": "mmccd"}', '{"GeneratedBy": ["mmccd", {"Name": "x"}]}']
)
def test_other_datasets_are_not_ours(tmp_path, text):
    (tmp_path / DESCRIPTION).write_text(text)

    assert not is_own_dataset(tmp_path)
    assert kind_of(tmp_path) is None
