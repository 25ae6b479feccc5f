"""Results of `predict` are told from files of other tools that have such names."""

import json

import pytest

from mmccd.data.own_folders import is_record, is_result


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        (json.dumps({"case": "a", "origin": {}}), True),
        (json.dumps({"case": "b", "origin": {}}), False),
        (json.dumps({"Modality": "MR", "EchoTime": 0.1}), False),
        (json.dumps(["a"]), False),
        ('{"case": "a", "ori', False),
        (None, False),
    ],
)
def test_a_map_is_a_result_where_its_record_says_so(tmp_path, text, ours):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    assert is_record(tmp_path / "a.json") is ours
    for name in ("a_anomaly.nii.gz", "a_mask.nii.gz"):
        assert is_result(tmp_path / name) is ours
    assert not is_result(tmp_path / "a.nii.gz")
    assert not is_result(tmp_path / "a_b_mask.nii.gz")
