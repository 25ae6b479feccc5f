import torch

from mmccd.config import METHODS
from mmccd.methods import build_method


def test_the_seed_decides_the_weights_and_the_networks_differ(toy_config):
    def weights(seed):
        torch.manual_seed(seed)
        return build_method(toy_config).state_dict()

    first, same, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    forward = {name.removeprefix("to_target."): w for name, w in first.items() if name.startswith("to_target.")}
    backward = {name.removeprefix("to_source."): w for name, w in first.items() if name.startswith("to_source.")}
    assert len(forward) + len(backward) == len(first)
    assert any(forward[name].shape == w.shape and not torch.equal(forward[name], w) for name, w in backward.items())


def test_every_method_has_what_training_and_scoring_call(toy_config):
    for name in METHODS:
        method = build_method(toy_config.model_copy(update={"method": name}))
        for call in ("losses", "cycle", "restorations"):
            assert callable(getattr(method, call))
