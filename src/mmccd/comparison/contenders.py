"""What a benchmark compares: every method under every scoring, and intensities that have learnt nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mmccd.method.registry import METHODS
from mmccd.scoring.intensity_baseline import Kind

Scoring = Literal["squared", "evidence", ""]

SQUARED: dict[str, Any] = {
    "scoring.error": "squared",
    "scoring.polarity": "either",
    "scoring.unconditional": 0.0,
    "scoring.smooth_mm": 0.0,
    "scoring.total_variation": [],
    "scoring.edge_mm": 0.0,
}
"""The paper's squared error, over the whole brain as all others are scored."""

BEST = "Veiled cycle (best)"
"""The preset `best`: the veiled cycle by evidence."""
DIFFUSION = "MMCCD fast, evidence"
"""The paper's masked diffusion with the sampler of the preset `fast`, by the same evidence."""
PAPER_SAMPLER = "MMCCD, paper's sampler"
OURS = (BEST, DIFFUSION)
"""What is compared with all others, subject by subject."""
INTENSITIES: dict[str, Kind] = {
    "intensity": "plain",
    "smoothed intensity": "smoothed",
    "equalised intensity": "equalised",
}
"""The normalised scan itself, the same smoothed as evidence is, and its ranks in the brain (Meissen et al., 2021)."""


@dataclass(frozen=True)
class Contender:
    """One row of a table.

    Attributes:
        name: For tables and, without blanks, for files.
        method: As in a config; empty for an intensity.
        intensity: For one: `plain`, `smoothed` or `equalised`.
        scoring: What is made of x and x_hat: `squared` as in the paper, or `evidence` as in the preset `best`; empty
            for an intensity.
        paper_sampler: Every stripe with every step, on the slices of the paper's protocol alone.
    """

    name: str
    method: str = ""
    intensity: Kind | Literal[""] = ""
    scoring: Scoring = ""
    paper_sampler: bool = False


def file_name_of(contender: str) -> str:
    """The name of a row as that of a file: without blanks and signs."""
    return "".join(char for char in contender.replace(" ", "-") if char.isalnum() or char in "-_")


def label_of(method: str) -> str:
    """The name of a method in tables; the paper's diffusion is sampled by `fast`."""
    label = METHODS[method].about.label
    return f"{label} fast" if method == "mmccd" else label


def contenders(methods: Sequence[str] = (), *, paper_sampler: bool = True) -> list[Contender]:
    """All rows for some methods: intensities, then each method with the squared error, then each with evidence.

    Args:
        methods: As in a config; none means all.
        paper_sampler: Whether to add MMCCD with the paper's sampler.
    """
    methods = tuple(methods) or tuple(METHODS)
    rows = [Contender(name, intensity=kind) for name, kind in INTENSITIES.items()]
    rows += [Contender(label_of(method), method, scoring="squared") for method in methods]
    rows += [
        Contender(BEST if method == "veiled-cycle" else f"{label_of(method)}, evidence", method, scoring="evidence")
        for method in methods
    ]
    if paper_sampler and "mmccd" in methods:
        rows.append(Contender(PAPER_SAMPLER, "mmccd", scoring="squared", paper_sampler=True))
    return rows
