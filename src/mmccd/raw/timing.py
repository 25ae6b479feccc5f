"""Which modality an MR series is, by the timing of its sequence, and by what its description says."""

import re
from dataclasses import dataclass

from mmccd.data.layouts.names import OTHER, contrasts_named

FLAIR_INVERSION_MS = (1400.0, 3500.0)
"""Fluid is nulled; T1 with preparation inverts for 300 to 1,400 ms, STIR for less than 300."""
T2_ECHO_MS = 60.0
SHORT_ECHO_MS = 40.0
LONG_REPETITION_MS = 1800.0
"""Of a spin echo: shorter is T1, longer with a short echo is proton density."""
GRADIENT_T2_STAR_MS = 12.0


@dataclass(frozen=True)
class Timing:
    """What decides the contrast of a sequence; None where the header does not say.

    Attributes:
        repetition_ms: Repetition time.
        echo_ms: Echo time.
        inversion_ms: Inversion time.
        sequences: Codes of the sequence: SE, GR, IR, EP.
        stated: Contrast that an enhanced header states: FLUID_ATTENUATED, T1, T2, DIFFUSION.
        agent: Whether a contrast agent was given.
        diffusion: Whether diffusion was weighted.
    """

    repetition_ms: float | None = None
    echo_ms: float | None = None
    inversion_ms: float | None = None
    sequences: frozenset[str] = frozenset()
    stated: str = ""
    agent: bool = False
    diffusion: bool = False

    @property
    def words(self) -> str:
        """For readers: times, and nothing that could name somebody."""
        times = {"TR": self.repetition_ms, "TE": self.echo_ms, "TI": self.inversion_ms}
        return ", ".join(f"{name} {ms:.4g} ms" for name, ms in times.items() if ms) or "no times"


def by_timing(timing: Timing) -> str | None:
    """``flair``, ``t1``, ``t1ce`` or ``t2``; the name of another contrast; or None where the header says too little."""
    if timing.diffusion or timing.stated == "DIFFUSION":
        return "diffusion"
    plain = _STATED.get(timing.stated) or _by_times(timing)
    return "t1ce" if plain == "t1" and timing.agent else plain


_STATED = {"FLUID_ATTENUATED": "flair", "T1": "t1", "T2": "t2", "T2_STAR": "t2star", "PROTON_DENSITY": "pd"}


def _by_times(timing: Timing) -> str | None:
    echo, repetition, inversion = timing.echo_ms, timing.repetition_ms, timing.inversion_ms or 0.0
    if echo is None:
        return None
    if "EP" in timing.sequences:  # of diffusion and function, as a rule
        return "epi"
    if echo >= T2_ECHO_MS and FLAIR_INVERSION_MS[0] <= inversion <= FLAIR_INVERSION_MS[1]:
        return "flair"
    if "GR" in timing.sequences and "SE" not in timing.sequences:
        return "t2star" if echo > GRADIENT_T2_STAR_MS else "t1"
    if echo >= T2_ECHO_MS:
        return "t2" if inversion < 1 else "stir" if inversion < 300 else None
    if repetition is None or echo > SHORT_ECHO_MS:
        return None
    if inversion > 300:
        return "t1"
    return "pd" if repetition >= LONG_REPETITION_MS else "t1"


def by_description(text: str) -> frozenset[str]:
    """The modalities that the words of a series description may mean, as those of a file name do; none says nothing."""
    return contrasts_named(re.sub(r"[^A-Za-z0-9+*]+", "_", text).strip("_"))


def modality_of(timing: Timing, description: str) -> tuple[str | None, str]:
    """Modality of a series and how it was told; None where its timing and its description contradict each other.

    A description that says T1 beside a contrast agent in the header, or T1 after contrast beside none, is no
    contradiction: the agent is often not noted. One of another contrast, such as ADC, contradicts every timing.
    """
    timed, named = by_timing(timing), by_description(description)
    words = " or ".join("another contrast" if name == OTHER else name for name in sorted(named))
    if not named:
        return timed, f"by its timing ({timing.words})"
    if timed is None:
        told = next(iter(named)) if len(named) == 1 and OTHER not in named else None
        return told, "by its description" if told else f"its description says {words}"
    if timed in named:
        return timed, f"by its timing ({timing.words}) and its description"
    if {timed, *named} == {"t1", "t1ce"}:
        return "t1ce", f"by its timing ({timing.words}) and a contrast agent"
    return None, f"its timing ({timing.words}) says {timed}, its description {words}"
