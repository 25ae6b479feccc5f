"""A trained model: networks, what is made of their errors, and the card that says how to use them."""

from dataclasses import dataclass

import torch

from mmccd.data.grid import ModelGrid
from mmccd.errors import ConfigError
from mmccd.method.anomaly_map import Error
from mmccd.method.method import Method
from mmccd.model.card import Card
from mmccd.model.config import Config
from mmccd.model.openvino import accelerate
from mmccd.model.scorer import FusedScorer, ModelScorer, Scorer
from mmccd.system.devices import uses_bf16

RUNTIMES = ("torch", "openvino")


@dataclass(frozen=True)
class Model:
    """A model of one modality."""

    method: Method
    error: Error
    config: Config
    card: Card

    @property
    def members(self) -> "tuple[Model, ...]":
        """Itself: a fusion has several."""
        return (self,)

    @property
    def grid(self) -> ModelGrid:
        """Of its slices."""
        return self.card.grid

    def scorer(self, device: torch.device, *, batch_size: int = 32, runtime: str = "torch") -> Scorer:
        """Its networks, ready to work.

        Args:
            device: Where to compute.
            batch_size: Slices at a time.
            runtime: What runs the networks, one of ``RUNTIMES``.

        Raises:
            ConfigError: there is no such runtime, or it does not fit the device.
        """
        check_runtime(runtime, device)
        method = self.method.to(device, memory_format=torch.channels_last)
        if runtime == "openvino":
            method = accelerate(method, bf16=uses_bf16(self.config.training.precision, device))
        return ModelScorer(method, self.error, self.config, device, batch_size)


@dataclass(frozen=True)
class Fusion:
    """Several models: the evidence of different source modalities is added up, that of trainings of one averaged.

    Attributes:
        members: The first one's source is the modality that results belong to; a subject needs all sources.
        card: Thresholds of the sum.
    """

    members: tuple[Model, ...]
    card: Card

    @property
    def grid(self) -> ModelGrid:
        """Of its slices."""
        return self.card.grid

    def scorer(self, device: torch.device, *, batch_size: int = 32, runtime: str = "torch") -> Scorer:
        """As `Model.scorer`: of all of its members, see `FusedScorer`."""
        return FusedScorer(
            [(one.config.source, one.scorer(device, batch_size=batch_size, runtime=runtime)) for one in self.members]
        )


def known_scans(model: Model | Fusion) -> frozenset[str]:
    """Digests of the scans that a model was trained or calibrated on, as far as its cards say: see `Volume`."""
    return frozenset(digest for one in (model, *model.members) for digest in one.card.scans_sha256)


def check_runtime(runtime: str, device: torch.device) -> None:
    """Refuse a runtime that is not there.

    Raises:
        ConfigError: it is unknown, or does not compute on this device.
    """
    if runtime not in RUNTIMES:
        raise ConfigError(f"runtime is {runtime!r}, expected one of {', '.join(RUNTIMES)}", "torch is a safe choice")
    if runtime == "openvino" and device.type != "cpu":
        raise ConfigError(
            f"the runtime openvino computes on the CPU, not on {device}", "use --device cpu, or leave --runtime out"
        )
