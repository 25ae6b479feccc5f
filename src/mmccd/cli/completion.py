"""What a shell completes: names that this package knows, found without importing what computes."""

import ast
import os
from collections.abc import Callable, Iterable
from importlib import resources

COMPLETE = "_MMCCD_COMPLETE"
"""In the environment where a shell asks; typer names it so."""
_WORDS, _PLACE, _BEHIND_COLON = "COMP_WORDS", "COMP_CWORD", "_MMCCD_BEHIND_COLON"
_BUILTIN = "builtin"
Complete = Callable[[str], list[str]]


def models(incomplete: str) -> list[str]:
    """Models that ship with the package; a path is completed by the shell itself."""
    weights = resources.files("mmccd.model") / "weights"
    names = sorted(folder.name for folder in weights.iterdir() if (folder / "card.json").is_file())
    return _fitting(names if _BEHIND_COLON in os.environ else [f"{_BUILTIN}:{name}" for name in names], incomplete)


def presets(incomplete: str) -> list[str]:
    """Settings that ship with the package."""
    files = (resources.files("mmccd.model") / "presets").iterdir()
    return _fitting(sorted(file.name[: -len(".yaml")] for file in files if file.name.endswith(".yaml")), incomplete)


def methods(incomplete: str) -> list[str]:
    """The methods that can be trained."""
    return _fitting(_keys("mmccd.method", "METHODS"), incomplete)


def layouts(incomplete: str) -> list[str]:
    """The layouts of cohorts."""
    return _fitting(["auto", *_keys("mmccd.data.layouts", "LAYOUTS"), "dicom"], incomplete)


def modalities(incomplete: str) -> list[str]:
    """The modalities that have a name here; a store may hold others."""
    return _fitting(["flair", "t1", "t1ce", "t2"], incomplete)


def listed(of: Complete) -> Complete:
    """For a comma-separated list: what may follow, behind what is there already."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [before + comma + name for name in of(last) if name not in before.split(",")]

    return complete


def join_at_colon() -> None:
    """Where bash asks, which takes ``builtin:flair`` for three words: let it be one, as it will be to the command.

    Of the word that is being completed bash replaces what stands behind the colon, and that alone is left of it.
    """
    if os.environ.get(COMPLETE) != "complete_bash" or not {_WORDS, _PLACE} <= os.environ.keys():
        return
    words, place = os.environ[_WORDS].split("\n"), int(os.environ[_PLACE])
    while f"{_BUILTIN}\n:" in "\n".join(words[: place + 1]):
        at = next(n for n in range(place) if words[n : n + 2] == [_BUILTIN, ":"])
        name = words[at + 2] if at + 2 <= place and at + 2 < len(words) else ""
        is_last = place <= at + 2
        words[at : at + 3] = [name if is_last else f"{_BUILTIN}:{name}"]
        place = at if is_last else place - 2
        if is_last:
            os.environ[_BEHIND_COLON] = "yes"
    os.environ[_WORDS], os.environ[_PLACE] = "\n".join(words), str(place)


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _keys(package: str, table: str) -> list[str]:
    """The keys of a table in the registry of a package, which is read and not run: to import it takes seconds."""
    source = (resources.files(package) / "registry.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == table and isinstance(node.value, ast.Dict):
            return [ast.literal_eval(key) for key in node.value.keys if key is not None]
    raise LookupError(f"{package}.registry has no table {table}")
