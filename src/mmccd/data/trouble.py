"""What is wrong with the files of a subject, role by role: a command fails for those that it needs alone."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mmccd.data.layouts.listing import Entry
from mmccd.data.layouts.names import BRAIN, LESION

MEND = "mend or rename its files, or leave it out"


def ambiguous_id(entries: Sequence[Entry]) -> str | None:
    """Why an id may be that of two subjects: one modality lies in two folders."""
    for role, paths in _by_role(entries).items():
        folders = {path.parent for path in paths}
        if len(folders) > 1 and role not in (BRAIN, LESION):
            places = " and ".join(_place(path.parent) for path in sorted(paths))
            return f"it has a {role} image in {places}; ids must be unique: rename or remove one of them"
    return None


def unusable_roles(
    entries: Sequence[Entry], lacking: Mapping[str, str], remedy: Callable[[Sequence[Path]], str] | None
) -> dict[str, tuple[str, str]]:
    """Why a role of a subject cannot be used, and what to do about it.

    Args:
        entries: Of the subject.
        lacking: Roles that have no file, and why.
        remedy: How to choose among files, where users can.
    """
    found = {role: (reason, "choose another, or leave --select out") for role, reason in lacking.items()}
    for role, paths in _by_role(entries).items():
        troubles = [trouble for path in paths if (trouble := _trouble(path))]
        if len(paths) > 1:
            chosen = remedy(paths) if remedy else ""
            other = "keep one, or name it in a CSV manifest"
            what = f"several files for {role}: {' and '.join(_distinct_names(paths))}"
            found[role] = (what, f"{chosen}, or {other}" if chosen else other)
        elif troubles:
            found[role] = (troubles[0], MEND)
    return found


def hint_of_absent(path: Path) -> str:
    """What a shell would have done to a path that is not there, and has not; empty where that is not why."""
    if str(path).startswith("~"):
        return "~ was not expanded: write the path out, or leave away the quotes around it"
    if any(mark in str(path) for mark in "*?["):
        return "it is a pattern that matches nothing: check its folder and its spelling"
    return ""


def _by_role(entries: Sequence[Entry]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for entry in entries:
        files.setdefault(entry.role, []).append(entry.path)
    return files


def _trouble(path: Path) -> str | None:
    try:
        if path.is_symlink() and not path.exists():
            return f"{path.name} is a dangling link to {_place(path.readlink())}: fetch its content"
        if path.exists():
            return None if path.is_file() else f"{_place(path)} is not a file"
    except OSError as error:
        return f"{path.name[:50]} cannot be looked up: {error.strerror}"
    return f"{_place(path)} does not exist"


def _distinct_names(paths: Sequence[Path]) -> list[str]:
    same = len({path.name for path in paths}) < len(paths)
    return [_place(path) if same else path.name for path in sorted(paths)]


def _place(path: Path) -> str:
    """Enough of a path to find it in the cohort, and no more: reasons are written into results, which people share."""
    return "/".join(path.parts[-2:])
