"""Libraries that not everyone needs: those of the extras of this package."""

from importlib import import_module
from typing import Any

from mmccd.errors import ConfigError


def needed(module: str, what_for: str, *, extra: str = "raw") -> Any:
    """Import a library of an extra.

    Args:
        module: As Python imports it.
        what_for: What cannot be done without it, as a sentence begins.
        extra: As pip installs it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{what_for} needs {module}, which is not installed", f"pip install 'mmccd[{extra}]', and run this again"
        ) from error
