"""What a contender costs: network evaluations."""

from typing import Any

import torch

from mmccd.method.code_network import CodeNetwork
from mmccd.method.method import Method


class Counter:
    """Counts the slices that pass through the networks of a method."""

    def __init__(self, method: Method) -> None:
        self.passed = 0
        self._hooks = [network.register_forward_hook(self._count) for network in _networks(method)]

    def close(self) -> None:
        """Stop counting."""
        for hook in self._hooks:
            hook.remove()

    def _count(self, _network: torch.nn.Module, inputs: tuple[Any, ...], _output: Any) -> None:
        self.passed += len(inputs[0])


def _networks(method: Method) -> list[torch.nn.Module]:
    """What an evaluation is one pass of: U-Nets, and of an autoencoder its decoder."""
    return [child.autoencoder.decoder if isinstance(child, CodeNetwork) else child for child in method.children()]
