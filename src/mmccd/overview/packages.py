"""What is installed, against what this package says of itself that it needs."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from mmccd.overview.check import Check
from mmccd.version import __version__

PACKAGE = "mmccd"
FOR_DEVELOPERS = "dev"
PACKAGES, EXTRAS = "packages", "extras"


def package_checks() -> list[Check]:
    """This package, Python, and every library that is always needed.

    Raises:
        PackageNotFoundError: this package is not installed, so that nothing says what it needs.
    """
    facts = metadata(PACKAGE)
    checks = [Check(PACKAGES, PACKAGE, "ok", __version__)]
    asked = SpecifierSet(facts["Requires-Python"] or "")
    python = platform.python_version()
    if asked.contains(python, prereleases=True):
        checks.append(Check(PACKAGES, "Python", "ok", python))
    else:
        checks.append(Check(PACKAGES, "Python", "warning", f"{python}, outside {asked}", f"use Python {asked}"))
    return checks + [_library(needed) for needed in _needed("")]


def extra_checks() -> list[Check]:
    """What may be installed besides: whether all of it is there.

    Raises:
        PackageNotFoundError: as of `package_checks`.
    """
    extras = metadata(PACKAGE).get_all("Provides-Extra") or []
    return [_extra(extra) for extra in extras if extra != FOR_DEVELOPERS]


def _needed(extra: str) -> Iterator[Requirement]:
    """What an extra needs beyond what is always needed; or that, for no extra."""
    for text in metadata(PACKAGE).get_all("Requires-Dist") or []:
        requirement = Requirement(text)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if always if not extra else not always and marker is not None and marker.evaluate({"extra": extra}):
            yield requirement


def _library(needed: Requirement) -> Check:
    found = _installed(needed)
    remedy = f"pip install '{needed.name}{needed.specifier}'"
    if found is None:
        return Check(PACKAGES, needed.name, "broken", f"missing, {needed.specifier} is needed", remedy)
    if not _fits(needed, found):
        return Check(PACKAGES, needed.name, "warning", f"{found}, outside {needed.specifier}", remedy)
    return Check(PACKAGES, needed.name, "ok", found)


def _extra(extra: str) -> Check:
    found = {needed: _installed(needed) for needed in _needed(extra)}
    missing = [needed.name for needed, there in found.items() if there is None]
    outside = [
        f"{needed.name} {there}, outside {needed.specifier}"
        for needed, there in found.items()
        if there is not None and not _fits(needed, there)
    ]
    remedy = f"pip install '{PACKAGE}[{extra}]'"
    if missing:
        return Check(EXTRAS, extra, "absent", "; ".join([f"missing: {', '.join(missing)}", *outside]), remedy)
    if outside:
        return Check(EXTRAS, extra, "warning", "; ".join(outside), remedy)
    return Check(EXTRAS, extra, "ok", ", ".join(f"{needed.name} {there}" for needed, there in found.items()))


def _installed(needed: Requirement) -> str | None:
    try:
        return version(needed.name)
    except PackageNotFoundError:
        return None


def _fits(needed: Requirement, found: str) -> bool:
    return needed.specifier.contains(found, prereleases=True)
