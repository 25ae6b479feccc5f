"""What a benchmark compares: every method under every scoring, and intensities that have learnt nothing."""

from dataclasses import dataclass
from typing import Any, Literal

from mmccd.model.config import METHODS

Scoring = Literal["square", "evidence", ""]

SQUARE: dict[str, Any] = {
    "scoring.evidence": "square",
    "scoring.polarity": "either",
    "scoring.unconditional": 0.0,
    "scoring.smooth_mm": 0.0,
    "scoring.edge_mm": 0.0,
}
"""The published squared error, over the whole brain as all others are scored."""

LABELS = {
    "mmccd": "MMCCD fast",
    "cyclic-unet": "Cyclic U-Net",
    "veiled-cycle": "Veiled cycle",
    "ae": "AE",
    "vae": "VAE",
    "dae": "DAE",
    "ddpm": "DDPM",
    "anoddpm": "AnoDDPM",
    "pddpm": "pDDPM",
}
PUBLISHED = "MMCCD published"
BEST = "MMCCD best"
"""The preset `best`: the veiled cycle by evidence."""
DIFFUSION = "MMCCD fast, evidence"
"""The paper's masked diffusion with the sampler of the preset `fast`, by the same evidence."""
OURS = (BEST, DIFFUSION)
"""What is compared with all others, subject by subject."""
INTENSITIES = {"intensity": "plain", "smoothed intensity": "smoothed", "equalised intensity": "equalised"}
"""The normalised scan itself, the same smoothed as evidence is, and its ranks in the brain (Meissen et al., 2021)."""


@dataclass(frozen=True)
class Contender:
    """One row of a table.

    Attributes:
        name: For tables and, without blanks, for files.
        method: As in a config; empty for an intensity.
        intensity: For one: `plain`, `smoothed` or `equalised`.
        scoring: What is made of x and x_hat: `square` as published, or `evidence` as in the preset `best`; empty for an
            intensity.
        published_sampler: Every stripe with every step, on the slices of the published protocol alone.
    """

    name: str
    method: str = ""
    intensity: str = ""
    scoring: Scoring = ""
    published_sampler: bool = False

    @property
    def file_name(self) -> str:
        """The name without blanks."""
        return self.name.replace(" ", "-").replace(",", "")


def contenders(methods: tuple[str, ...] = METHODS, *, published_sampler: bool = True) -> list[Contender]:
    """All rows for some methods: intensities, then each method with the square, then each with evidence.

    Args:
        methods: As in a config.
        published_sampler: Whether to add MMCCD with its published sampler.
    """
    rows = [Contender(name, intensity=kind) for name, kind in INTENSITIES.items()]
    rows += [Contender(LABELS[method], method, scoring="square") for method in methods]
    rows += [
        Contender(BEST if method == "veiled-cycle" else f"{LABELS[method]}, evidence", method, scoring="evidence")
        for method in methods
    ]
    if published_sampler and "mmccd" in methods:
        rows.append(Contender(PUBLISHED, "mmccd", scoring="square", published_sampler=True))
    return rows
