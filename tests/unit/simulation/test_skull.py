"""A head around a brain."""

import numpy as np
import pytest

from mmccd.data.volumes import read_volume
from mmccd.raw.brain import has_skull
from mmccd.simulation.skull import MARGIN_MM, with_skull


def test_a_brain_gets_a_head_and_stays_where_it_is(healthy_scan):
    brain = read_volume(healthy_scan)
    head = with_skull(brain)
    margin = round(MARGIN_MM / 4)
    inside = head.data[margin:-margin, margin:-margin, margin:-margin]
    assert inside.shape == brain.data.shape
    corner = head.affine @ [margin, margin, margin, 1]
    np.testing.assert_allclose(corner, brain.affine @ [0, 0, 0, 1], atol=1e-6)
    deep = brain.data > np.median(brain.data[brain.data > 0])
    assert np.median(inside[deep]) == pytest.approx(np.median(brain.data[deep]), rel=0.1)
    assert has_skull(head)
    assert not has_skull(brain)
    np.testing.assert_array_equal(head.data, with_skull(brain).data)
    assert (with_skull(brain, seed=1).data != head.data).any()
