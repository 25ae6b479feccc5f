"""A share of a cohort, for job arrays: each job scores one, and needs to know nothing of the others."""

import hashlib
import re
from dataclasses import dataclass

from mmccd.errors import ConfigError


@dataclass(frozen=True)
class Share:
    """Which cases are this job's: a case keeps its share whatever else the cohort holds.

    Attributes:
        number: Of the share, from 1.
        of: How many there are.
    """

    number: int
    of: int

    def holds(self, case: str) -> bool:
        """Whether a case, by its id, belongs to this share."""
        return int.from_bytes(hashlib.sha256(case.encode(errors="surrogateescape")).digest()[:8]) % self.of == (
            self.number - 1
        )


def parse_share(text: str) -> Share:
    """From ``2/10``, as it is given on the command line.

    Raises:
        ConfigError: it is no share.
    """
    found = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
    number, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= of:
        raise ConfigError(f"--part {text!r} is no share of a cohort, expected K/N with K from 1 to N", "such as 2/10")
    return Share(number, of)
