"""What every method offers, what is said of it, and what it is made of."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self

from torch import Tensor, nn

from mmccd.method.anomaly_map import Restoration
from mmccd.method.code_network import CodeNetwork
from mmccd.method.diffusion import NoiseSchedule


@dataclass(frozen=True)
class Loss:
    """One part of what training makes small.

    Attributes:
        title: Of its curve; ``{source}`` and ``{targets}`` stand for the modalities.
        quantity: What its axis shows.
        weight: In the sum that is made small; the curve is drawn without it.
    """

    title: str
    quantity: str = "mean squared error"
    weight: float = 1.0


@dataclass(frozen=True)
class About:
    """What is said of a method wherever it is named.

    Attributes:
        label: In tables.
        phrase: In a sentence, after "by".
        references: What to cite.
        losses: By name, as `Method.losses` returns them.
        targets: Which modalities it is trained to translate to where nobody says: none, one, or all that are there.
    """

    label: str
    phrase: str
    references: tuple[str, ...]
    losses: Mapping[str, Loss]
    targets: Literal["none", "one", "all"] = "none"


@dataclass(frozen=True)
class Batch:
    """Healthy slices to learn from.

    Attributes:
        source: x, (batch, 1, height, width).
        target: y, (batch, targets, height, width).
        brain: (batch, 1, height, width) bool, True inside the brain.
        healthy: Likewise, False at and near a lesion: there nothing is learnt.
    """

    source: Tensor
    target: Tensor
    brain: Tensor
    healthy: Tensor

    def squared_error(self, found: Tensor, wanted: Tensor, where: Tensor | None = None) -> Tensor:
        """Mean squared error over what is healthy; ``where`` narrows that."""
        counted = (self.healthy if where is None else self.healthy & where).expand_as(wanted)
        return ((found - wanted).square() * counted).sum() / counted.sum().clamp(min=1)


@dataclass(frozen=True)
class Parts:
    """What methods are made of, for slices of one size; plain values, so that no method sees a setting.

    Masks and steps are made when they are asked for: those that cannot be are refused only where they are needed.

    Attributes:
        size_px: Side of the slices in pixels.
        targets: Modalities to translate to.
        mirrored: Whether training mirrors slices.
        unet: An untrained U-Net of so many images to so many others.
        code_network: An untrained encoder and decoder around a small code.
        schedule: Noise schedule.
        sampling_steps: Steps that a sampler visits from pure noise, from high to low.
        restoring_steps: The same from a noisy slice.
        masks: What a sampler hides, (masks, size, size) bool.
        training_masks: What training hides, likewise.
        masks_at_once: Masks per batch of the networks.
    """

    size_px: int
    targets: int
    mirrored: bool
    unet: Callable[[int, int], nn.Module]
    code_network: Callable[[], CodeNetwork]
    schedule: NoiseSchedule
    sampling_steps: Callable[[], tuple[int, ...]]
    restoring_steps: Callable[[], tuple[int, ...]]
    masks: Callable[[], Tensor]
    training_masks: Callable[[], Tensor]
    masks_at_once: int = 1


class Method(Protocol):
    """Networks that restore healthy tissue alone. Every method is a `torch.nn.Module`, too.

    Attributes:
        about: What is said of it.
        evaluations: Network evaluations that restore one slice, at most.
    """

    about: ClassVar[About]

    @property
    def evaluations(self) -> int:
        """As above."""

    @classmethod
    def build(cls, parts: Parts) -> Self:
        """Untrained networks; seed torch first to make them reproducible."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """What training makes small, by the names of ``about.losses``, without their weights."""

    def translate(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """For pictures: y_hat of whole slices, (batch, targets, height, width), and x_hat, (batch, 1, ...)."""

    def restorations(self, source: Tensor) -> Iterable[Restoration]:
        """What `anomaly_map` averages over; x is (batch, 1, height, width)."""

    def quick(self) -> "Method":
        """The same networks with the cheapest sampler that covers a slice: for the curves of a training."""

    def to(self, *place: Any, **how: Any) -> Self:
        """As of `torch.nn.Module`; so are all that follow."""

    def eval(self) -> Self:
        """For use instead of training."""

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Whether it can be trained."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """All weights."""

    def children(self) -> Iterator[nn.Module]:
        """Its networks."""

    def named_children(self) -> Iterator[tuple[str, nn.Module]]:
        """Its networks, and their names."""

    def state_dict(self) -> dict[str, Tensor]:
        """All weights by name."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Take over weights."""
