import numpy as np
import pytest
import torch
from torch import nn

from mmccd.calibration import calibrate
from mmccd.config import load_config
from mmccd.cyclic_unet import CyclicUNet
from mmccd.scoring import scored_region
from mmccd.store import Store

CPU = torch.device("cpu")


class Zero(nn.Module):
    def forward(self, image):
        return torch.zeros_like(image)


@pytest.fixture
def squares():
    """The map is x squared."""
    return CyclicUNet(Zero(), Zero())


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_threshold_lets_the_rate_of_healthy_brain_pixels_through(phantom_store, squares, rate):
    config = load_config("tiny", {"scoring.false_positive_rate": rate})
    found = calibrate(squares, phantom_store, config, CPU)

    rows = phantom_store.rows("validation", healthy=True)
    x, brain = phantom_store.array("flair")[rows].astype(np.float32), phantom_store.array("brain")[rows]
    scored = scored_region(brain, edge_mm=7.5, pixel_mm=5.0)
    share = ((x**2 > found["threshold"]["value"]) & scored).sum() / brain.sum()
    assert rate - 0.001 < share <= rate
    assert (found["threshold"]["subjects"], found["threshold"]["slices"]) == (1, len(rows))
    assert found["threshold"]["chosen_on"] == "healthy validation slices"
    baseline = found["intensity_baseline"]
    assert baseline["polarity"] == "bright"
    assert rate - 0.01 < (x > baseline["threshold"])[brain].mean() <= rate


def test_dark_modality_has_its_low_values_as_scores(phantom_store, squares):
    config = load_config("tiny", {"source": "t2", "targets": ["flair"]})
    assert calibrate(squares, phantom_store, config, CPU)["intensity_baseline"]["polarity"] == "bright"

    class Renamed(Store):
        def array(self, name):
            return super().array({"t1": "flair"}.get(name, name))

    store = Renamed(phantom_store.path, phantom_store.manifest)
    baseline = calibrate(squares, store, load_config("tiny", {"source": "t1"}), CPU)["intensity_baseline"]
    rows = store.rows("validation", healthy=True)
    inside = store.array("t1")[rows].astype(np.float32)[store.array("brain")[rows]]
    assert baseline["polarity"] == "dark"
    assert 0.03 < (-inside > baseline["threshold"]).mean() <= 0.05


def test_no_lesion_and_no_test_subject_is_looked_at(phantom_store, squares):
    class Blind(Store):
        def array(self, name):
            assert name in ("flair", "brain")
            return super().array(name)

        def rows(self, split, *, healthy=None):
            assert (split, healthy) == ("validation", True)
            return super().rows(split, healthy=healthy)

    calibrate(squares, Blind(phantom_store.path, phantom_store.manifest), load_config("tiny"), CPU)
