import pytest

from mmccd.data.recipe import differences, made_otherwise, mixture, recipe_of
from mmccd.system.files import write_json

ORIGIN = {"version": "0.1.0", "model": "a" * 64, "runtime": "torch", "threshold": "0.02 of the brain", "scan": "d1"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"scan": "d2"}, ""),
        ({"version": "0.2.0"}, "version of mmccd 0.2.0, not 0.1.0"),
        ({"model": "b" * 64}, "model bbbbbbbbbbbb, not aaaaaaaaaaaa"),
        ({"threshold": "0.05 of the brain"}, "threshold '0.05 of the brain', not '0.02 of the brain'"),
        ({"min_lesion_ml": "0.5"}, "smallest finding in ml 0.5, not 0"),
        ({"runtime": "openvino", "version": ""}, "version of mmccd unknown, not 0.1.0; runtime openvino, not torch"),
    ],
)
def test_what_differs_is_named(changed, said):
    assert differences(ORIGIN | changed, ORIGIN) == said


def test_a_mixture_names_the_most_and_the_next():
    assert mixture([]) == mixture([ORIGIN, ORIGIN | {"scan": "d2"}]) == ""
    others = [ORIGIN | {"version": name} for name in ("0.0.1", "0.0.2")]
    assert mixture([others[0], ORIGIN, ORIGIN, others[1]]) == (
        "results made in 3 ways lie here: 1 of 4 by version of mmccd 0.0.1, not 0.1.0, and 1 more ways"
    )


def test_a_case_that_stays_tells_how_a_folder_was_made(tmp_path):
    assert made_otherwise(tmp_path / "new", ORIGIN, ()) == ""
    write_json(tmp_path / "notes.json", {"origin": {}, "case": "another"})
    write_json(tmp_path / "a.json", {"case": "a", "origin": ORIGIN})
    other = ORIGIN | {"model": "b" * 64}
    assert made_otherwise(tmp_path, ORIGIN, ()) == ""
    assert made_otherwise(tmp_path, other, ["a"]) == ""
    assert made_otherwise(tmp_path, other, ["b"]) == (
        "a, made by another recipe (model aaaaaaaaaaaa, not bbbbbbbbbbbb)"
    )
    assert recipe_of({}) == dict.fromkeys(recipe_of(ORIGIN), "") | {"min_lesion_ml": "0"}
