"""What is undefined or unusable in an evaluation: counted, listed or refused, and never passed over."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from known_predictions import SHAPE, add_prediction, add_subject, intensity_of, lesion_of, row_of

from mmccd.data.cohort import read_cohort
from mmccd.data.pseudonyms import with_pseudonyms
from mmccd.errors import DataError, MmccdWarning
from mmccd.evaluation.evaluate import evaluate


def as_on_windows(path, encoding="cp1252"):
    return path.read_bytes().decode(encoding)


def test_undefined_values_are_counted_and_never_zero(folders):
    data, predictions, output = folders
    add_subject(data, "ill")
    add_subject(data, "missed")
    add_subject(data, "healthy", lesion=np.zeros(SHAPE, bool))
    add_prediction(predictions, "ill", lesion_of() * 1.0)
    add_prediction(predictions, "missed", np.zeros(SHAPE))
    add_prediction(predictions, "healthy", np.zeros(SHAPE))

    evaluation = evaluate(predictions, data, output)

    assert math.isnan(row_of(evaluation, "healthy")["dice"])
    assert row_of(evaluation, "missed")["dice"] == 0.0
    assert row_of(evaluation, "missed")["assd_mm"] == math.inf
    model = evaluation.aggregates["cyclic_unet"]
    assert (model["dice"].mean, model["dice"].n, model["dice"].undefined) == (0.5, 2, 1)
    assert (model["assd_mm"].mean, model["assd_mm"].n, model["assd_mm"].undefined) == (0.0, 1, 2)
    assert [row["case"] for row in evaluation.paper] == ["ill", "ill", "missed", "missed"]


def test_lesion_outside_the_brain_counts_as_missed(folders):
    data, predictions, output = folders
    lesion = lesion_of()
    lesion[0, :5, 1] = True  # outside the brain
    add_subject(data, "a", lesion=lesion)
    add_prediction(predictions, "a", lesion_of() * 1.0)

    row = row_of(evaluate(predictions, data, output), "a")

    assert row["sensitivity"] == pytest.approx(45 / 50)
    assert row["oracle_dice"] == row["dice"] == pytest.approx(90 / 95)
    assert row["auroc"] == 1.0


def test_cases_that_the_model_was_trained_on_are_not_passed_over(folders):
    data, predictions, output = folders
    for name, known in (("a", True), ("b", False), ("c", None)):
        add_subject(data, name)
        add_prediction(predictions, name, lesion_of().astype(float), **({} if known is None else {"trained_on": known}))
    with pytest.warns(MmccdWarning, match="trained or calibrated on 1 of these 3 scans.*--split STORE"):
        found = evaluate(predictions, data, output)
    assert found.trained_on == ("a",)
    assert json.loads((output / "evaluation.json").read_text())["trained_on"] == ["a"]
    assert "**Beware:** the model was trained or calibrated on 1 of these 3 scans" in (output / "table.md").read_text()


def test_predictions_that_were_made_in_several_ways_are_not_passed_over(folders):
    data, predictions, output = folders
    for name, model in (("a", "1" * 64), ("b", "1" * 64), ("c", "2" * 64)):
        add_subject(data, name)
        add_prediction(predictions, name, lesion_of() * 1.0, origin={"model": model, "version": "0.1.0"})

    with pytest.warns(MmccdWarning, match="made in 2 ways lie here: 1 of 3 by model 222222222222, not 111111111111"):
        evaluate(predictions, data, output)
    assert "**Beware:** results made in 2 ways" in (output / "table.md").read_text()
    assert "1 of 3 by model" in json.loads((output / "evaluation.json").read_text())["mixture"]


def test_a_message_about_a_case_with_a_random_name_names_no_file(folders, tmp_path):
    data, predictions, output = folders
    add_subject(data, "secret")
    add_prediction(predictions, "secret", lesion_of() * 1.0)
    names = with_pseudonyms(read_cohort(data), tmp_path / "key" / "names.json", outside=output)[1]
    for end in (".json", "_anomaly.nii.gz", "_mask.nii.gz"):
        (predictions / f"secret{end}").rename(predictions / f"{names['secret']}{end}")
    for case in (names["secret"], "stranger"):
        add_prediction(predictions, case, np.ones((5, 5, 5)))
    add_subject(data, "other")
    other = with_pseudonyms(read_cohort(data), tmp_path / "key" / "names.json", outside=output)[1]["other"]
    add_prediction(predictions, other, lesion_of() * 1.0)

    failures = evaluate(predictions, data, output, anonymize=tmp_path / "key" / "names.json").failures

    assert set(failures) == {names["secret"], "stranger"}
    assert "not co-registered" in failures[names["secret"]]
    assert "secret" not in " ".join(failures.values())


def test_unusable_cases_are_listed_and_the_others_go_on(folders):
    data, predictions, output = folders
    for name in ("good", "other_grid", "no_record", "bad_record", "old_record", "bad_polarity", "no_source", "corrupt"):
        add_subject(data, name)
        add_prediction(predictions, name, lesion_of() * 1.0)
    add_subject(data, "no_mask", with_mask=False)
    add_subject(data, "not_predicted")
    add_prediction(predictions, "no_mask", lesion_of() * 1.0)
    add_prediction(predictions, "stranger", lesion_of() * 1.0)
    add_prediction(predictions, "other_grid", np.ones((5, 5, 5)))
    add_prediction(predictions, "bad_polarity", lesion_of() * 1.0, intensity=intensity_of(polarity="grey"))
    add_prediction(predictions, "no_source", lesion_of() * 1.0, source="t9")
    add_prediction(predictions, "old_record", lesion_of() * 1.0, intensity={"polarity": "bright", "threshold": 4.0})
    (predictions / "no_record.json").unlink()
    (predictions / "bad_record.json").write_text('{"source": "flair"}')
    (predictions / "corrupt_mask.nii.gz").write_bytes(b"no gzip")

    evaluation = evaluate(predictions, data, output)

    assert {row["case"] for row in evaluation.rows} == {"good"}
    reasons = evaluation.failures
    assert "no lesion mask" in reasons["no_mask"]
    assert "has no subject stranger" in reasons["stranger"]
    assert "not co-registered" in reasons["other_grid"]
    assert "cannot read no_record.json" in reasons["no_record"]
    assert reasons["bad_record"].startswith("bad_record.json lacks brain_volume_ml, case, ")
    assert "old_record.json is damaged: intensity.smooth_mm: Field required" in reasons["old_record"]
    assert (
        "bad_polarity.json is damaged: intensity.polarity: Input should be 'bright' or 'dark'"
        in reasons["bad_polarity"]
    )
    assert "t9" in reasons["no_source"]
    assert "corrupt_mask.nii.gz" in reasons["corrupt"]
    assert evaluation.not_predicted == 1
    page = (output / "table.md").read_text()
    assert all(f"| {case} |" in page for case in reasons)
    assert json.loads((output / "evaluation.json").read_text())["failures"] == reasons


def test_records_are_read_as_utf8_whatever_the_locale(folders, monkeypatch):
    """As Windows reads by default, an ü is two letters, and an Á has a byte that is none."""
    data, predictions, output = folders
    add_subject(data, "Müller")
    more = {"warnings": ["Müller und Álvarez bewegten sich"], "model": {"method": "Müllers Netz"}}
    add_prediction(predictions, "Müller", lesion_of() * 1.0, **more)
    monkeypatch.setattr(Path, "read_text", as_on_windows)

    evaluation = evaluate(predictions, data, output)

    assert evaluation.failures == {}
    assert row_of(evaluation, "Müller", "Müllers Netz")["dice"] == 1
    assert (output / "montage.png").is_file()


def test_nothing_that_matches_is_an_error_with_the_reasons(folders):
    data, predictions, output = folders
    add_subject(data, "a")
    for number in range(5):
        add_prediction(predictions, f"stranger{number}", lesion_of() * 1.0)

    with pytest.raises(DataError, match=r"none of the 5 predicted cases.*stranger0.*and 2 more") as caught:
        evaluate(predictions, data, output)
    assert "subject ids" in caught.value.hint
    assert list(output.iterdir()) == []


def test_folder_without_predictions_is_an_error(folders):
    data, predictions, output = folders

    with pytest.raises(DataError, match="holds no prediction") as caught:
        evaluate(predictions, data, output)
    assert "mmccd predict" in caught.value.hint


def test_output_that_cannot_be_a_folder_is_an_error(folders):
    data, predictions, output = folders
    add_subject(data, "a")
    add_prediction(predictions, "a", lesion_of() * 1.0)
    output.write_text("a file")

    with pytest.raises(DataError, match="cannot write to"):
        evaluate(predictions, data, output)


def test_disk_that_is_full_is_an_error_and_no_failed_case(folders, monkeypatch):
    data, predictions, output = folders
    add_subject(data, "a")
    add_prediction(predictions, "a", lesion_of() * 1.0)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmccd.evaluation.scratch.np.savez_compressed", full)
    with pytest.raises(DataError, match="No space left on device") as caught:
        evaluate(predictions, data, output)
    assert "TMPDIR" in caught.value.hint
