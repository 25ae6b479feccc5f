"""What is costly to make of a raw scan, kept outside of the results, so that no command makes it twice."""

import os
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path

from mmccd.errors import ConfigError
from mmccd.system.files import sha256_of_json, staging

VARIABLE = "MMCCD_CACHE"


def cache_folder() -> Path:
    """Where things are kept: what ``MMCCD_CACHE`` says, else the user's own cache. It may be deleted at any time."""
    stated = os.environ.get(VARIABLE)
    return Path(stated) if stated else user_cache_path("mmccd")


def kept(kind: str, made_from: object, end: str, make: Callable[[Path], None]) -> Path:
    """The file that ``make`` writes, or wrote at an earlier time from the same.

    Args:
        kind: Folder of the cache.
        made_from: All that decides what is made, as JSON can hold it.
        end: Of the name of the file.
        make: Writes the file at the path that it is given.

    Raises:
        ConfigError: nothing can be kept there.
    """
    folder = cache_folder() / kind
    place = folder / f"{sha256_of_json(made_from)[:32]}{end}"
    if place.is_file():
        return place
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"nothing can be kept in {folder}: {error.strerror}", f"set {VARIABLE} to a folder that can be written"
        ) from error
    with staging(folder, place.name) as stage:
        make(stage / place.name)
        (stage / place.name).replace(place)
    return place
