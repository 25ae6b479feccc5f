"""Libraries that only raw scans need: the extra ``raw``."""

from importlib import import_module
from typing import Any

from mmccd.errors import ConfigError


def needed(module: str, what_for: str) -> Any:
    """Import a library of the extra.

    Args:
        module: As Python imports it.
        what_for: What cannot be done without it, as a sentence begins.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{what_for} needs {module}, which is not installed", "pip install 'mmccd[raw]', and run this again"
        ) from error
