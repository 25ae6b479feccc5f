"""What healthy tissue says is ordinary: how its errors are measured, and how far they go once they are smoothed."""

from dataclasses import dataclass

from mmccd.method.anomaly_map import Error, squared_error
from mmccd.scoring.tails import HealthyTails


@dataclass(frozen=True)
class Ordinary:
    """What a calibration found, apart from thresholds; without one, the paper's squared error.

    Attributes:
        error: Between x and what was restored.
        tails: Of the map at several scales; None where it is smoothed once.
    """

    error: Error = squared_error
    tails: HealthyTails | None = None
