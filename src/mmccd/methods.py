"""The methods by name: how a config becomes networks."""

from torch import nn

from mmccd.config import Config
from mmccd.cyclic_unet import CyclicUNet
from mmccd.networks import UNet

Method = CyclicUNet
"""What every method offers: ``losses(source, target)``, ``cycle(source)`` and ``anomaly_map(source)``."""


def build_method(config: Config) -> Method:
    """Untrained networks of a method; seed torch first to make them reproducible."""

    def unet(in_channels: int) -> nn.Module:
        return UNet(in_channels, **config.network.model_dump())

    return CyclicUNet(to_target=unet(1), to_source=unet(1))
