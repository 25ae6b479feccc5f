"""Names of BIDS in their parts: ``sub-01_ses-2_acq-highres_run-1_T1w``; and the choice among files by these parts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmccd.data.formats import stem
from mmccd.errors import ConfigError

Selection = Mapping[str, str]
"""Entity to the value that is wanted: ``{"run": "1"}``."""


@dataclass(frozen=True)
class BidsName:
    """What a name says.

    Attributes:
        subject: ``sub-01``, or ``sub-01_ses-2``.
        entities: ``{"acq": "highres"}``, without those of the subject.
        parts: All parts behind the subject but the last, as they are.
        suffix: The last part.
    """

    subject: str
    entities: dict[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    suffix: str = ""


def bids_name(path: Path) -> BidsName | None:
    """The parts of a name, or None where it is none of BIDS."""
    first, *rest = stem(path).split("_")
    if not first.startswith("sub-") or len(first) == 4 or not rest:
        return None
    session = [rest.pop(0)] if rest[0].startswith("ses-") and len(rest) > 1 else []
    *parts, suffix = rest
    entities = dict(part.split("-", 1) for part in parts if "-" in part)
    return BidsName("_".join([first, *session]), entities, tuple(parts), suffix)


def entities_of(path: Path) -> dict[str, str]:
    """The entities of a name; none where it is not of BIDS."""
    name = bids_name(path)
    return name.entities if name else {}


def choose(paths: Sequence[Path], selection: Selection, leave: Collection[str] = ()) -> list[Path]:
    """Of files for one role those that are wanted: with the value, or without the entity where none has the value.

    Args:
        paths: The candidates.
        selection: What is wanted.
        leave: Entities that say nothing about these files.
    """
    kept = list(paths)
    for entity, value in selection.items():
        if entity not in leave:
            having = [path for path in kept if _same(entities_of(path).get(entity), value)]
            kept = having or [path for path in kept if entity not in entities_of(path)]
    return kept


def remedy(paths: Sequence[Path]) -> str:
    """How to choose among files, with an example that leaves one of them; empty where no entity tells them apart."""
    for path in sorted(paths):
        for entity, value in entities_of(path).items():
            if len(choose(paths, {entity: value})) == 1:
                return f"choose with --select {entity}={value}"
    return ""


def parse_selection(texts: Sequence[str]) -> dict[str, str]:
    """What was asked for as ``ENTITY=VALUE``.

    Raises:
        ConfigError: a text is of another form, or an entity is named twice.

    Example:
        >>> parse_selection(["acq=highres", "run=1"])
        {'acq': 'highres', 'run': '1'}
    """
    found: dict[str, str] = {}
    for text in texts:
        entity, _, value = (part.strip() for part in text.partition("="))
        if not (entity.isalnum() and value) or entity in found or entity in ("sub", "ses"):
            raise ConfigError(
                f"--select {text!r} is not of the form ENTITY=VALUE, with each entity once and none of sub and ses",
                "for example --select acq=highres --select run=1; subjects and sessions are chosen by --split",
            )
        found[entity] = value
    return found


def _same(found: str | None, wanted: str) -> bool:
    """``01`` is ``1``."""
    if found is None:
        return False
    both = (found, wanted)
    return found.casefold() == wanted.casefold() or (all(map(str.isdecimal, both)) and int(found) == int(wanted))
