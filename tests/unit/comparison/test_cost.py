"""What scoring costs: passes through networks."""

import pytest
import torch

from mmccd.comparison.cost import Counter
from mmccd.method.registry import METHODS
from mmccd.model.build import build_method
from mmccd.model.config import load_config


def restored(method, slices):
    with torch.no_grad():
        for _ in method.restorations(slices):
            pass


@pytest.mark.parametrize("name", METHODS)
def test_passes_of_every_slice_are_counted_as_the_method_says(name, toy_settings):
    """Of slices full of brain, so that no mask is left out."""
    targets = {"targets": ["t2"]} if METHODS[name].about.targets != "none" else {}
    config = load_config(["tiny", "fast"], {**toy_settings, "method": name, **targets})
    method = build_method(config, 64).eval()
    counter = Counter(method)
    restored(method, torch.ones(3, 1, 64, 64))
    assert counter.passed == 3 * method.evaluations > 0
    counter.close()
    restored(method, torch.ones(1, 1, 64, 64))
    assert counter.passed == 3 * method.evaluations
