"""`mmccd export`: a model as one file to hand on."""

from pathlib import Path

from mmccd.data.own_folders import CARD, WEIGHTS
from mmccd.errors import ConfigError
from mmccd.model.files import open_model, write_package
from mmccd.model.folder import card_in, load_any, members_in, model_folder
from mmccd.system.files import sha256_of_file


def export(model: Path | str, package: Path) -> str:
    """Write a model or fusion as one zip file with its own files and no others; the same model gives the same bytes.

    Returns:
        SHA-256 of the package.

    Raises:
        ModelError: as `load_model`.
        ConfigError: the package exists, or does not end in ``.zip``.
    """
    if package.suffix.lower() != ".zip" or package.exists():
        what = "exists" if package.exists() else "does not end in .zip"
        raise ConfigError(f"{package} {what}", "choose another name, such as model.zip")
    load_any(model)  # what cannot be read is not handed on
    files = open_model(model_folder(model))
    card = card_in(files)
    content = {CARD: files.read(CARD)}
    if card.members:
        for name, one in zip(card.members, members_in(files, card), strict=True):
            content |= {f"{name}/{file}": one.read(file) for file in (CARD, WEIGHTS)}
    else:
        content[WEIGHTS] = files.read(WEIGHTS)
    write_package(package, content)
    return sha256_of_file(package)
