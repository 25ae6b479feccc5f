"""Every method by its name. A new one is a file of its own, and a line here."""

from mmccd.method.baselines.autoencoder import Autoencoder
from mmccd.method.baselines.denoising_autoencoder import DenoisingAutoencoder
from mmccd.method.baselines.diffusion_reconstruction import AnoDDPM, DiffusionReconstruction
from mmccd.method.baselines.patched_diffusion import PatchedDiffusion
from mmccd.method.baselines.variational_autoencoder import VariationalAutoencoder
from mmccd.method.cyclic_unet import CyclicUNet
from mmccd.method.masked_cycle import MaskedCycle
from mmccd.method.method import Method
from mmccd.method.veiled_cycle import VeiledCycle

METHODS: dict[str, type[Method]] = {
    "cyclic-unet": CyclicUNet,
    "mmccd": MaskedCycle,
    "veiled-cycle": VeiledCycle,
    "ae": Autoencoder,
    "vae": VariationalAutoencoder,
    "dae": DenoisingAutoencoder,
    "ddpm": DiffusionReconstruction,
    "anoddpm": AnoDDPM,
    "pddpm": PatchedDiffusion,
}
