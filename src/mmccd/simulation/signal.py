"""Synthetic scans: what a scanner would measure of tissues whose relaxation times are known."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmccd.simulation.anatomy import Anatomy, Floats, smooth_field


@dataclass(frozen=True)
class Tissue:
    """What decides the brightness of a tissue.

    Attributes:
        t1_ms: Longitudinal relaxation time.
        t2_ms: Transverse relaxation time.
        density: Protons relative to water.
    """

    t1_ms: float
    t2_ms: float
    density: float


@dataclass(frozen=True)
class Sequence:
    """Timing of a spin echo.

    Attributes:
        tr_ms: Repetition time.
        te_ms: Echo time.
        inverted: Preceded by an inversion that nulls CSF (FLAIR).
    """

    tr_ms: float
    te_ms: float
    inverted: bool = False


# At 3 T. Grey and white matter after Wansapura et al. 1999 (JMRI 9:531: T1 1331 and 832 ms, T2 about 110
# and 80 ms) and Stanisz et al. 2005 (MRM 54:507: T2 99 and 69 ms); iron shortens both in deep grey; CSF is
# close to water. Lesions are set by hand to look as they do in BraTS: water moves into the tissue, so T1, T2
# and density rise together, about twofold in vasogenic oedema. No healthy tissue has such a pair of T1 and
# T2: that breaks the ties between modalities.
TISSUES: Mapping[str, Tissue] = {
    "grey": Tissue(1350.0, 97.0, 0.82),
    "deep grey": Tissue(1150.0, 82.0, 0.79),
    "white": Tissue(850.0, 77.0, 0.71),
    "csf": Tissue(4300.0, 1600.0, 1.0),
    "oedema": Tissue(1750.0, 185.0, 0.86),
    "enhancing": Tissue(1680.0, 145.0, 0.85),
    "necrosis": Tissue(2700.0, 330.0, 0.94),
    "ms lesion": Tissue(1380.0, 165.0, 0.83),
}
SEQUENCES: Mapping[str, Sequence] = {
    "flair": Sequence(9000.0, 115.0, inverted=True),
    "t1": Sequence(560.0, 12.0),
    "t2": Sequence(4600.0, 95.0),
}
POINT_SPREAD_MM = 0.9  # standard deviation


def spin_echo(t1_ms: Floats, t2_ms: Floats, density: Floats, tr_ms: float, te_ms: float) -> Floats:
    """Signal of a spin echo: density (1 - exp(-TR/T1)) exp(-TE/T2)."""
    return np.asarray(density * (1 - np.exp(-tr_ms / t1_ms)) * np.exp(-te_ms / t2_ms), dtype=np.float32)


def inversion_recovery(
    t1_ms: Floats, t2_ms: Floats, density: Floats, tr_ms: float, te_ms: float, ti_ms: float
) -> Floats:
    """Magnitude of an inversion recovery: density |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2)."""
    recovered = np.abs(1 - 2 * np.exp(-ti_ms / t1_ms) + np.exp(-tr_ms / t1_ms))
    return np.asarray(density * recovered * np.exp(-te_ms / t2_ms), dtype=np.float32)


def nulling_ti_ms(t1_ms: float, tr_ms: float) -> float:
    """Inversion time at which a tissue gives no signal: T1 ln(2 / (1 + exp(-TR/T1)))."""
    return float(t1_ms * np.log(2 / (1 + np.exp(-tr_ms / t1_ms))))


def make_signals(rng: np.random.Generator, anatomy: Anatomy, fractions: Mapping[str, Floats]) -> dict[str, Floats]:
    """Noiseless signal of each modality, (n,) over the brain's voxels.

    All modalities see the same T1, T2 and density maps: that is what ties them to each other.
    """
    tissues = {name: _jitter(rng, tissue) for name, tissue in TISSUES.items()}
    sequences = {name: _retime(rng, sequence) for name, sequence in SEQUENCES.items()}
    nulled_ms = TISSUES["csf"].t1_ms * float(rng.uniform(0.97, 1.03))
    water = _local_water(rng, anatomy)
    own_t2 = np.exp(0.03 * smooth_field(rng, anatomy.grid, 12.0)[anatomy.brain])
    signals = {name: np.zeros(len(water), dtype=np.float32) for name in sequences}
    for name, share in fractions.items():
        tissue, here = tissues[name], np.flatnonzero(share > 0.002)
        # More water lengthens both relaxation times; free water itself has no more to gain.
        more = np.ones(len(here), dtype=np.float32) if name == "csf" else water[here]
        t1_ms, t2_ms = tissue.t1_ms * more, tissue.t2_ms * more * own_t2[here]
        density = np.float32(tissue.density) * np.asarray(more**0.25, dtype=np.float32)
        for modality, sequence in sequences.items():
            signal = _measure(sequence, nulled_ms, t1_ms, t2_ms, density)
            signals[modality][here] += share[here] * signal
    return signals


def finish_scan(rng: np.random.Generator, anatomy: Anatomy, signal: Floats) -> NDArray[np.int16]:
    """Add the scanner's shading, noise and arbitrary gain; 0 outside the brain, at least 1 inside."""
    signal = _blur(anatomy, signal)
    shading = np.exp(0.09 * smooth_field(rng, anatomy.grid, 90.0)[anatomy.brain])
    bright = float(np.percentile(signal, 90))
    sigma = np.float32(bright * rng.uniform(0.015, 0.035))
    real, imaginary = (sigma * rng.standard_normal(len(signal), dtype=np.float32) for _ in range(2))
    magnitude = np.sqrt((signal * shading + real) ** 2 + imaginary**2)
    gain = np.exp(rng.uniform(np.log(150.0), np.log(2500.0))) / bright
    scan = np.zeros(anatomy.brain.shape, dtype=np.int16)
    # At least 1, so that "above zero" is the same brain in every modality, as in skull-stripped releases.
    scan[anatomy.brain] = np.clip(np.rint(magnitude * gain), 1, np.iinfo(np.int16).max).astype(np.int16)
    return scan


def _blur(anatomy: Anatomy, signal: Floats) -> Floats:
    """Point spread of the scanner: voxels at an edge show a mixture, of what lies in the brain."""
    sigma = POINT_SPREAD_MM / anatomy.grid.spacing_mm
    volumes = np.zeros((2, *anatomy.brain.shape), dtype=np.float32)
    volumes[:, anatomy.brain] = signal, np.ones_like(signal)
    blurred, weight = (ndimage.gaussian_filter(v, sigma, truncate=3.0)[anatomy.brain] for v in volumes)
    return np.asarray(blurred / weight, dtype=np.float32)


def _local_water(rng: np.random.Generator, anatomy: Anatomy) -> Floats:
    """Factor on T1 and T2: slow variation, and the harmless caps along the ventricles of older people."""
    slow = np.exp(0.035 * smooth_field(rng, anatomy.grid, 30.0)[anatomy.brain])
    caps = rng.uniform(0.0, 0.22) * anatomy.near_ventricles**2
    return np.asarray(slow * (1 + caps), dtype=np.float32)


def _jitter(rng: np.random.Generator, tissue: Tissue) -> Tissue:
    t1, t2, density = np.exp(rng.normal(0.0, (0.03, 0.03, 0.01)))
    return Tissue(tissue.t1_ms * float(t1), tissue.t2_ms * float(t2), tissue.density * float(density))


def _retime(rng: np.random.Generator, sequence: Sequence) -> Sequence:
    tr, te = rng.uniform(0.95, 1.05, 2)
    return Sequence(sequence.tr_ms * float(tr), sequence.te_ms * float(te), sequence.inverted)


def _measure(sequence: Sequence, nulled_ms: float, t1_ms: Floats, t2_ms: Floats, density: Floats) -> Floats:
    if not sequence.inverted:
        return spin_echo(t1_ms, t2_ms, density, sequence.tr_ms, sequence.te_ms)
    ti_ms = nulling_ti_ms(nulled_ms, sequence.tr_ms)
    return inversion_recovery(t1_ms, t2_ms, density, sequence.tr_ms, sequence.te_ms, ti_ms)
