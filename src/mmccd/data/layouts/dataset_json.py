"""The table ``dataset.json`` of the Medical Segmentation Decathlon and of nnU-Net."""

import json
from pathlib import Path

from mmccd.data.layouts.listing import check_modality
from mmccd.data.layouts.names import modality_named
from mmccd.errors import DataError

PART_OF = {"imagesTr": "train", "imagesTs": "test"}


def stated(folders: dict[str, str]) -> dict[str, str]:
    """The part of each case, by the folder of its image, where there are images of both."""
    both = PART_OF.keys() <= {*folders.values()}
    return {case: PART_OF[folder] for case, folder in folders.items()} if both else {}


def read_dataset(path: Path) -> tuple[dict[int, str], list[str]]:
    """The modality of each channel, and the images of the training list, of an MSD or nnU-Net ``dataset.json``.

    Raises:
        DataError: it has none.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        named = table["channel_names" if "channel_names" in table else "modality"]
        names = {int(channel): modality_named(str(name)) for channel, name in named.items()}
        training = [str(case["image"]) for case in table.get("training", [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f'{path} has no usable "modality" table and training list: {error!r}',
            'expected {"modality": {"0": "FLAIR"}, "training": [{"image": "..."}]}, or "channel_names" as in nnU-Net 2',
        ) from error
    for name in names.values():
        check_modality(path, name)
    return names, training
