"""Medical Segmentation Decathlon, Task01: 4D images and ``dataset.json``."""

from pathlib import Path

from mmccd.data.formats import stem
from mmccd.data.layouts.dataset_json import read_dataset, stated
from mmccd.data.layouts.listing import Entry, Layout, Listing, files_in
from mmccd.data.layouts.names import LESION


def _detect(root: Path) -> bool:
    return (root / "dataset.json").is_file() and (root / "imagesTr").is_dir()


def _read(root: Path) -> Listing:
    names, training = read_dataset(root / "dataset.json")
    listed = [root / image for image in training]
    found = [*files_in(root / "imagesTr"), *files_in(root / "imagesTs")]
    missing = [path for path in listed if path.name not in {image.name for image in found}]
    single = len(names) == 1  # then the files are 3D
    entries = [
        Entry(stem(image), role, image, None if single else channel)
        for image in [*found, *missing]
        for channel, role in names.items()
    ]
    entries += [Entry(stem(label), LESION, label) for label in files_in(root / "labelsTr")]
    return Listing(entries, stated({stem(image): image.parent.name for image in found}))


LAYOUT = Layout(_detect, _read, "dataset.json with imagesTr/ and labelsTr/")
