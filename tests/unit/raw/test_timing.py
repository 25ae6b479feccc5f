"""Which modality a series is, from its timing and its description."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmccd.data.layouts.names import OTHER
from mmccd.raw.timing import Timing, by_description, by_timing, modality_of


@pytest.mark.parametrize(
    ("timing", "modality"),
    [
        (Timing(9000, 120, 2500, frozenset({"SE", "IR"})), "flair"),
        (Timing(6000, 394, 2200, frozenset({"SE", "IR"})), "flair"),  # 3D, with a long train of echoes
        (Timing(2300, 3, 900, frozenset({"GR"})), "t1"),  # MPRAGE
        (Timing(8.9, 3.2, None, frozenset({"GR"})), "t1"),
        (Timing(450, 10, None, frozenset({"SE"})), "t1"),
        (Timing(2000, 15, 750, frozenset({"SE", "IR"})), "t1"),  # what vendors call T1 FLAIR
        (Timing(450, 10, None, frozenset({"SE"}), agent=True), "t1ce"),
        (Timing(4500, 100, None, frozenset({"SE"})), "t2"),
        (Timing(4500, 100, None, frozenset({"SE"}), agent=True), "t2"),
        (Timing(4000, 80, 160, frozenset({"SE", "IR"})), "stir"),
        (Timing(3000, 20, None, frozenset({"SE"})), "pd"),
        (Timing(600, 20, None, frozenset({"GR"})), "t2star"),
        (Timing(5000, 90, None, frozenset({"EP"}), diffusion=True), "diffusion"),
        (Timing(6000, 100, None, frozenset({"EP", "SE"})), "epi"),
        (Timing(stated="FLUID_ATTENUATED"), "flair"),
        (Timing(stated="DIFFUSION"), "diffusion"),
        (Timing(), None),
        (Timing(echo_ms=50.0, sequences=frozenset({"SE"})), None),
    ],
)
def test_timing_tells_the_contrast(timing, modality):
    assert by_timing(timing) == modality


@pytest.mark.parametrize(
    ("text", "modality"),
    [
        ("sT2W/FLAIR", {"flair"}), ("T1/SE/extrp", {"t1"}), ("t2_tse_tra", {"t2"}), ("AX", set()), ("", set()),
        ("Ax DWI b1000", {OTHER}), ("T2 map", {OTHER}), ("T2* GRE", {OTHER}), ("TOF_3D", {OTHER}), ("ADC", {OTHER}),
    ],
)  # fmt: skip
def test_words_of_a_description_tell_it_as_those_of_a_file_name_do(text, modality):
    assert by_description(text) == modality


@pytest.mark.parametrize("text", ["ADC", "Ax DWI b1000", "SWI", "T2 map", "T2* GRE", "Scout"])
def test_a_description_of_another_contrast_contradicts_every_timing(text):
    told, how = modality_of(Timing(5000, 90, None, frozenset({"SE"})), text)
    assert told is None
    assert "its description another contrast" in how
    assert modality_of(Timing(), text) == (None, "its description says another contrast")


def test_timing_and_description_that_contradict_each_other_leave_it_open():
    timing = Timing(4500, 100, None, frozenset({"SE"}))
    assert modality_of(timing, "FLAIR") == (
        None, "its timing (TR 4500 ms, TE 100 ms) says t2, its description flair",
    )  # fmt: skip
    assert modality_of(timing, "t2_tse")[0] == "t2"
    assert modality_of(timing, "AX") == ("t2", "by its timing (TR 4500 ms, TE 100 ms)")
    assert modality_of(Timing(), "t2_tse") == ("t2", "by its description")


def test_an_agent_in_either_place_makes_it_t1_after_contrast():
    plain, agent = (Timing(450, 10, None, frozenset({"SE"}), agent=given) for given in (False, True))
    assert modality_of(plain, "T1")[0] == "t1"
    assert modality_of(agent, "T1")[0] == "t1ce"
    assert modality_of(plain, "T1_Gd")[0] == "t1ce"


@given(st.text())
def test_no_description_breaks_it(text):
    assert by_description(text) <= {"flair", "t1", "t1ce", "t2", OTHER}
