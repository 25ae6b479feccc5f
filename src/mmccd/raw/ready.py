"""A subject as it came, made ready: its modalities on the grid of the first, and a brain mask where one is needed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mmccd.data.cohort import Image, Subject
from mmccd.data.volumes import Volume, check_same_grid, read_volume, write_volume
from mmccd.errors import GridError
from mmccd.raw.brain import RECIPE, Strip, brain_file, has_skull, odd_about_brain
from mmccd.raw.cache import kept
from mmccd.raw.registration import RIGID, resampled, rigid
from mmccd.system.files import write_json


@dataclass(frozen=True)
class Ready:
    """Files that a model can be given.

    Attributes:
        images: By modality, all on one grid, that of the first as it came.
        brain: Brain mask; None where the scan is stripped and none was given.
        brain_from: What found the brain; empty where nothing had to.
        moved: Modalities that were registered to the first.
        matrices: Of these, (4, 4): millimetres of the first to millimetres of the modality, both RAS.
        warnings: What to know before trusting what follows.
        at_hand: What has been read on the way, by modality, on that grid: `volume` takes it from here.
    """

    images: dict[str, Image]
    brain: Image | None
    brain_from: str = ""
    moved: tuple[str, ...] = ()
    matrices: Mapping[str, list[list[float]]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    at_hand: Mapping[str, Volume] = field(default_factory=dict, repr=False, compare=False)

    def volume(self, modality: str) -> Volume:
        """The scan, as it lies ready; read only where it has not been.

        Raises:
            DataError: it cannot be read.
        """
        image = self.images[modality]
        return self.at_hand[modality] if modality in self.at_hand else read_volume(image.path, image.channel)


def ready(images: Mapping[str, Image], brain: Image | None, strip: Strip) -> Ready:
    """Register and strip where that is needed; what was done before is taken from the cache.

    Args:
        images: By modality; the first keeps its grid, and decides on the brain.
        brain: Brain mask that somebody gave, on the grid of the first.
        strip: ``auto`` strips what has a skull and no brain mask, and registers what lies on another grid; ``always``
            strips in any case; ``never`` leaves all as it is.

    Raises:
        DataError: a file cannot be read, nothing is found, or modalities do not come together.
        ConfigError: what does it is not installed.
    """
    given = Ready(dict(images), brain)
    masked = strip == "auto" and brain is not None
    if strip == "never" or not images or (masked and len(images) == 1):
        return given
    first, *others = images
    scan = given.volume(first)
    lying = {name: given.volume(name) for name in others}
    moved = {name: where for name, other in lying.items() if (where := _registered(other, scan)) is not None}
    done = replace(
        given,
        at_hand={first: scan} | {name: other for name, other in lying.items() if name not in moved},
        images={name: Image(moved[name][0]) if name in moved else image for name, image in images.items()},
        moved=tuple(moved),
        matrices={name: matrix for name, (_, matrix) in moved.items()},
    )
    if masked or (strip == "auto" and not has_skull(scan)):
        return done
    mask = brain_file(scan)
    return replace(done, brain=Image(mask), brain_from=RECIPE, warnings=odd_about_brain(mask))


def ready_subject(subject: Subject, *, strip: Strip, modalities: Sequence[str] = ()) -> Subject:
    """A subject of a cohort made ready.

    Args:
        subject: As it came.
        strip: As of `ready`.
        modalities: Those that are asked for, the first of which decides; none takes all that the subject has.

    Raises:
        DataError, ConfigError: as `ready`.
    """
    wanted = {name: subject.images[name] for name in modalities or subject.images if name in subject.images}
    made = ready(wanted, subject.brain, strip)
    return replace(subject, images={**subject.images, **made.images}, brain=made.brain)


def _registered(scan: Volume, reference: Volume) -> tuple[Path, list[list[float]]] | None:
    """The scan on the grid of the reference, and how it was turned; None where it lies there."""
    try:
        check_same_grid(reference, scan)
    except GridError:
        pass
    else:
        return None
    pair = [RIGID, *([one.voxels_sha256, one.affine.tolist()] for one in (reference, scan))]
    matrix = kept("registered", pair, ".json", lambda place: write_json(place, rigid(scan, reference).tolist()))
    turned = json.loads(matrix.read_text(encoding="utf-8"))
    volume = kept(
        "registered", pair, ".nii.gz",
        lambda place: write_volume(place, resampled(scan, reference, np.array(turned)), reference),
    )  # fmt: skip
    return volume, turned
