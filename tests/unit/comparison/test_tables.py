"""Tables of a benchmark, and what may be said about who is better."""

import numpy as np
import pytest

from mmccd.comparison.contenders import BEST
from mmccd.comparison.tables import (
    guarantees_of,
    holm,
    honest_table,
    mean_interval,
    paired,
    paper_table,
    verdict,
    write_results,
)
from mmccd.evaluation.intervals import bootstrap_mean


def test_results_of_a_version_without_a_column_are_a_table_without_it(done):
    _, result, _ = done
    older = [
        record.model_copy(
            update={"rows": [{k: v for k, v in row.items() if k != "relative_dice"} for row in record.rows]}
        )
        for record in result.records
    ]
    (usual, *_), (shorter, *lines) = honest_table(result.records), honest_table(older)
    assert set(usual) - set(shorter) == {"relative_dice"}
    assert {len(line) for line in lines} == {len(shorter)}


def test_of_healthy_subjects_the_page_gives_the_share_that_is_marked(store, done, tmp_path):
    _, result, _ = done
    row = {"subject": "a", "lesion_ml": 0.0, "auprc": None, "healthy_marked": 0.125}
    healthy = [record.model_copy(update={"kinds": {"healthy": [row]}}) for record in result.records]
    source = done[0] / "scores"
    (tmp_path / "scores").symlink_to(source)  # the maps, for the montage
    page = write_results(tmp_path, healthy, store, "mmccd benchmark", ["healthy"]).page.read_text()
    assert page.count("| 0.125 marked |") == len(healthy)


def test_the_papers_table_has_squared_errors_alone_the_highest_dice_first(record_of):
    def row(dice):
        return {"case": "a"} | dict.fromkeys(("dice", "auc", "jaccard", "assd", "sensitivity", "precision"), dice)

    named = {"low": 0.25, "high": 0.75, "unknown": None, "evidence": 0.9, "intensity": 0.9}
    records = [record_of(name, [0.5]).model_copy(update={"paper": [row(dice)]}) for name, dice in named.items()]
    records[-2] = records[-2].model_copy(update={"scoring": "evidence"})
    records[-1] = records[-1].model_copy(update={"method": "", "scoring": ""})
    header, *lines = paper_table(records)
    assert header[:2] == ["method", "dice"]
    assert [line[0] for line in lines] == ["high", "low", "unknown"]
    assert lines[0][1].startswith("0.750")


def test_guarantees_are_those_of_records_with_thresholds(record_of):
    marked = record_of("a", [0.5]).model_copy(update={"guarantee": "little is marked"})
    sampled = marked.model_copy(update={"rows": [], "guarantee": "nobody cuts here"})
    assert guarantees_of([marked, marked, sampled, record_of("intensity", [0.5])]) == ["FLAIR: little is marked"]


def test_the_verdict_names_who_is_ahead_and_whom_nothing_tells_apart(record_of):
    ours = np.linspace(0.4, 0.6, 20)
    wobble = np.tile([0.01, -0.0101], 10)
    named = {
        BEST: record_of(BEST, ours),
        "better": record_of("better", ours + 0.1),
        "worse": record_of("worse", ours - 0.1),
        "level": record_of("level", ours + wobble),
    }
    text = verdict(named, BEST)
    assert text == (
        "Veiled cycle (best) has AUPRC 0.500; 1 of 3 are behind it; ahead of it: better (+0.100); "
        "the interval of the difference holds 0 for level (-0.000)."
    )
    assert "none is ahead of it" in verdict({name: named[name] for name in (BEST, "worse")}, BEST)
    assert verdict(named, "better").startswith("better has AUPRC 0.600; 3 of 3 are behind it; none is ahead of it.")


def test_of_a_single_subject_the_verdict_says_that_it_cannot_tell(record_of):
    named = {BEST: record_of(BEST, [0.5, None]), "better": record_of("better", [0.6, None])}
    assert verdict(named, BEST) == ("Veiled cycle (best) has AUPRC 0.500; too few subjects to compare it with better.")


def test_sessions_of_a_patient_are_one_difference(record_of):
    """The patient with three sessions outweighs nobody."""
    names = ["sub-1_ses-1", "sub-1_ses-2", "sub-1_ses-3", "sub-2", "sub-3"]
    ours = record_of("any", [0.75, 0.75, None, 0.25, 0.5], names)  # exact in binary
    theirs = record_of("any", [0.5, 0.25, 0.1, 0.0, 0.0], names)
    by_hand = paired(record_of("a", [0.375, 0.25, 0.5]), record_of("b", [0, 0, 0]), "auprc")
    assert paired(ours, theirs, "auprc") == by_hand
    assert mean_interval(ours.rows, "auprc") == bootstrap_mean([0.75, 0.25, 0.5])


def test_paired_differences_leave_out_what_is_undefined(record_of):
    interval, p = paired(record_of("a", [0.5, 0.6, None]), record_of("b", [0.4, 0.5, 0.9]), "auprc")
    assert interval.mean == pytest.approx(0.1)
    assert (interval.n, interval.undefined) == (2, 1)
    assert 0 < p <= 1
    assert np.isnan(paired(record_of("a", [0.5, 0.6]), record_of("a", [0.5, 0.6]), "auprc")[1])


def test_holm():
    assert holm([0.01, 0.04, float("nan"), 0.03]) == pytest.approx([0.03, 0.06, float("nan"), 0.06], nan_ok=True)
    assert holm([0.9, 0.8]) == [1, 1]
