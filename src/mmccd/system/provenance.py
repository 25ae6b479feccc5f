"""What made a result: versions, command, seed, device. Never a path or a name of this machine."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mmccd.version import __version__

LIBRARIES = ("torch", "lightning", "monai", "nibabel", "numpy", "scipy", "scikit-learn", "openvino")


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the libraries that decide the numbers."""
    found = {"mmccd": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def provenance(**facts: Any) -> dict[str, Any]:
    """Versions and platform, with the facts of one run."""
    return {"versions": versions(), "platform": f"{sys.platform} {platform.machine()}", **facts}
