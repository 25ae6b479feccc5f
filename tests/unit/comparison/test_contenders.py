"""The rows of a benchmark."""

from mmccd.comparison.contenders import BEST, DIFFUSION, INTENSITIES, OURS, PAPER_SAMPLER, contenders, file_name_of
from mmccd.method.registry import METHODS


def test_the_list_of_contenders():
    names = [contender.name for contender in contenders()]
    assert len(names) == len(set(names)) == len(INTENSITIES) + 2 * len(METHODS) + 1
    assert {BEST, DIFFUSION, "MMCCD fast", PAPER_SAMPLER, "AnoDDPM", "AnoDDPM, evidence"} <= set(names)
    assert {*OURS} <= {*names}
    assert PAPER_SAMPLER not in [contender.name for contender in contenders(paper_sampler=False)]
    assert PAPER_SAMPLER not in [contender.name for contender in contenders(["dae"])]
    assert len({file_name_of(contender.name) for contender in contenders()}) == len(names)


def test_each_method_is_scored_in_both_ways():
    rows = contenders(["dae", "veiled-cycle"])
    assert [(row.name, row.method, row.scoring) for row in rows[len(INTENSITIES) :]] == [
        ("DAE", "dae", "squared"),
        ("Veiled cycle", "veiled-cycle", "squared"),
        ("DAE, evidence", "dae", "evidence"),
        (BEST, "veiled-cycle", "evidence"),
    ]
    assert {(row.method, row.scoring) for row in rows[: len(INTENSITIES)]} == {("", "")}


def test_names_are_safe_as_names_of_files():
    assert file_name_of(PAPER_SAMPLER) == "MMCCD-papers-sampler"
    for contender in contenders():
        assert file_name_of(contender.name).replace("-", "").replace("_", "").isalnum()
