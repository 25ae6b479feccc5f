"""Where a score stands among those of healthy reference subjects, in numbers and in words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """What a conformal p-value says.

    Attributes:
        p_value: Share of the healthy reference subjects, the scan itself among them, that score as high.
        healthy: Number of these subjects, without the scan.
    """

    p_value: float
    healthy: int

    @property
    def above(self) -> int:
        """How many of them score lower than this scan."""
        as_high = round(self.p_value * (self.healthy + 1)) - 1
        return self.healthy - max(0, min(self.healthy, as_high))

    @property
    def unusual(self) -> bool:
        """Whether no healthy reference subject scores as high."""
        return self.healthy > 0 and self.above == self.healthy

    @property
    def percentile(self) -> float:
        """Share of the healthy reference subjects that score lower, in percent; NaN without any."""
        return 100 * self.above / self.healthy if self.healthy else float("nan")

    @property
    def in_words(self) -> str:
        """What score and p-value say, and what they cannot say."""
        if not self.healthy:
            return "The model has no healthy reference subjects, so this score cannot be placed among healthy ones."
        if self.unusual:
            return (
                f"Scores higher than all {self.healthy} healthy reference subjects. With {self.healthy} of them "
                f"p cannot be smaller than {1 / (self.healthy + 1):.2g}."
            )
        share = 100 * self.p_value
        return (
            f"Scores higher than {self.above} of {self.healthy} healthy reference subjects: among healthy scans like "
            f"those, up to {share:.0f} % would score as high by chance. The score alone does not set this scan apart."
        )
