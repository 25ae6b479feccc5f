"""One small phantom cohort, its store and a toy model, made once and shared by all tests that need them.

What is shared is read only: a test that changes a file copies it first.
"""

import json
import pickle
import shutil
import sys
import uuid
from concurrent.futures import Future
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from mmccd.system import workers

settings.register_profile("any machine", deadline=None)  # a busy one takes longer, and is right all the same
settings.load_profile("any machine")

TESTS = Path(__file__).parent
LONG = ("e2e", "unit/comparison", "unit/training", "robustness", "security")


def pytest_ignore_collect(collection_path, config):
    """With one marker alone (`-m openvino`), files that do not name it are not imported."""
    marker = config.option.markexpr
    if marker.isidentifier() and collection_path.suffix == ".py":
        return marker not in collection_path.read_text(encoding="utf-8") or None
    return None


def pytest_collection_modifyitems(items):
    """What takes long comes first."""

    def rank(item):
        folder = item.path.parent.relative_to(TESTS).as_posix() if item.path.is_relative_to(TESTS) else ""
        return LONG.index(folder) if folder in LONG else len(LONG)

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A process does whole files: or, of those that share a benchmark, a whole folder."""

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return file.rpartition("/")[0] if "unit/comparison/" in file else file

    return Together(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def same_draws():
    """What a test draws does not depend on those that ran before it."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def raw_scans(tmp_path_factory, monkeypatch):
    """What is made of raw scans is kept apart from the user's; and no test waits minutes for HD-BET without asking."""
    monkeypatch.setenv("MMCCD_CACHE", str(tmp_path_factory.getbasetemp() / "cache" / uuid.uuid4().hex))

    def no_brain(volume):
        from mmccd.errors import DataError

        what = f"{volume.path.name} is not skull-stripped, and no brain was found in it"
        raise DataError(what, "give a brain mask")

    monkeypatch.setattr("mmccd.raw.brain.extract", no_brain)


class InlineExecutor:
    """A process pool that works in this process: tests of logic need no second interpreter."""

    def __init__(self, *_, initargs, **__):
        workers._function = pickle.loads(initargs[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def shutdown(self, **_):
        pass

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture(scope="session")
def inline_executor():
    return InlineExecutor


@pytest.fixture
def inline(monkeypatch, inline_executor):
    """`prepare` without worker processes."""
    monkeypatch.setattr("mmccd.system.workers.ProcessPoolExecutor", inline_executor)
    return inline_executor


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory):
    """Five healthy subjects to train on, one to validate on, a glioma and an MS patient to test on; 4 mm voxels."""
    from mmccd.simulation.phantom import phantom

    output = tmp_path_factory.mktemp("shared") / "phantom"
    phantom(output, subjects=6, lesions=2, seed=1, spacing_mm=4.0, workers=1)
    return output


@pytest.fixture(scope="session")
def healthy_scan(phantom_folder):
    return phantom_folder / "Phantom_0006" / "Phantom_0006_flair.nii.gz"


@pytest.fixture(scope="session")
def lesioned_scan(phantom_folder):
    return phantom_folder / "Phantom_0007" / "Phantom_0007_flair.nii.gz"


@pytest.fixture(scope="session")
def bids_folder(phantom_folder, tmp_path_factory):
    """A valid BIDS dataset: a healthy phantom without sessions, and a glioma in a session, run 1."""
    root = tmp_path_factory.mktemp("shared") / "bids"
    subjects = {"Phantom_0006": ("sub-01", ""), "Phantom_0007": ("sub-02_ses-a", "_run-1")}
    for phantom, (subject, run) in subjects.items():
        anat = root / subject.replace("_", "/") / "anat"
        anat.mkdir(parents=True)
        for modality, suffix in (("flair", "FLAIR"), ("t1", "T1w")):
            scan = phantom_folder / phantom / f"{phantom}_{modality}.nii.gz"
            shutil.copy(scan, anat / f"{subject}{run}_{suffix}.nii.gz")
    described = {"Name": "Phantoms", "BIDSVersion": "1.10.0", "DatasetType": "raw", "License": "CC0"}
    (root / "dataset_description.json").write_text(json.dumps(described))
    (root / "README.md").write_text("Simulated patients, whose scans hold no person and may be given to anybody.\n" * 3)
    return root


def prepared(folder, output, size_px, modalities):
    from mmccd.data.cohort import read_cohort
    from mmccd.data.prepare import prepare
    from mmccd.data.slices import StoreSettings
    from mmccd.data.splits import find_split

    cohort = read_cohort(folder)
    settings = StoreSettings("volume", size_px, modalities)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmccd.system.workers.ProcessPoolExecutor", InlineExecutor)
        store, failures = prepare(cohort, find_split(cohort)[0], output, settings)
    assert failures == {}
    return store


@pytest.fixture(scope="session")
def phantom_store(phantom_folder, tmp_path_factory):
    """The cohort as slices of 48 x 48 pixels of 5 mm."""
    return prepared(phantom_folder, tmp_path_factory.mktemp("shared") / "store", 48, ("flair", "t2"))


@pytest.fixture(scope="session")
def store_of_three(phantom_folder, tmp_path_factory):
    """All three modalities as slices of 64 x 64 pixels, the side of small benchmarks."""
    return prepared(phantom_folder, tmp_path_factory.mktemp("shared") / "three", 64, ("flair", "t1", "t2"))


@pytest.fixture(scope="session")
def toy_settings():
    """Overrides of the preset `tiny` that make a step cost a tenth of a second; a Cyclic U-Net, where nobody asks."""
    return {
        "method": "cyclic-unet",
        "network.channels": [16, 16],
        "network.attention": [False, False],
        "network.norm_groups": 8,
        "network.head_channels": 16,
        "network.patch_px": 2,
        "training.steps": 4,
        "training.batch_size": 4,
        "training.validate_every": 2,
        "training.precision": "float32",
    }


@pytest.fixture(scope="session")
def toy_config(toy_settings):
    from mmccd.model.config import load_config

    return load_config("tiny", toy_settings)


@pytest.fixture(scope="session")
def trained_folder(phantom_store, toy_config, tmp_path_factory):
    """What `train` leaves behind after four steps."""
    from mmccd.training.train import Hardware, train

    output = tmp_path_factory.mktemp("shared") / "trained"
    train(phantom_store, output, toy_config, hardware=Hardware(device="cpu"))
    return output


@pytest.fixture(scope="session")
def model_folder(trained_folder, phantom_store, tmp_path_factory):
    """The toy model with weights shaken.

    The last layer starts at zero, so after four steps every map would be about x squared, whatever the network does.
    """
    import torch

    from mmccd.model.folder import load_model, save_model
    from mmccd.training.calibrate import with_thresholds
    from mmccd.training.calibration import calibration_of

    model = load_model(trained_folder)
    generator = torch.Generator().manual_seed(0)
    for weight in model.method.parameters():
        weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    found = calibration_of(model.method, phantom_store, model.config, torch.device("cpu"))
    output = tmp_path_factory.mktemp("shared") / "model"
    save_model(output, model.method, model.error, model.config, with_thresholds(model.card, found))
    return output


@pytest.fixture(scope="session")
def detector(model_folder):
    from mmccd.prediction.detector import Detector

    return Detector.load(model_folder, device="cpu")


@pytest.fixture(scope="session")
def predictions_folder(detector, phantom_folder, tmp_path_factory):
    """What `predict` leaves of a healthy, a glioma and an MS phantom."""
    from mmccd.prediction.predict import predict

    output = tmp_path_factory.mktemp("shared") / "predictions"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmccd.prediction.preview.write_preview", lambda *_, **__: None)  # slower than the toy model
        predict(detector, [phantom_folder], output, subjects=["Phantom_0006", "Phantom_0007", "Phantom_0008"])
    return output


@pytest.fixture
def drawn(monkeypatch):
    """What would be drawn of a scan or a cohort."""
    seen = {}

    def grid_png(rows, **labels):
        seen.update(rows=rows, **labels)
        return b"png"

    monkeypatch.setattr("mmccd.evaluation.montage.grid_png", grid_png)
    monkeypatch.setattr("mmccd.prediction.preview.grid_png", grid_png)
    return seen


@pytest.fixture
def bad_scans(healthy_scan):
    """A function that fills a folder with unusable scans and says what the complaint about each must be."""

    def make(folder: Path) -> dict[str, str]:
        folder.mkdir(parents=True, exist_ok=True)
        good = healthy_scan.read_bytes()
        image = nib.load(healthy_scan)
        voxels = image.get_fdata(dtype=np.float32)

        def save(name, array):
            nib.save(nib.Nifti1Image(array, image.affine), folder / f"{name}.nii.gz")

        middle = len(good) // 2
        files = {
            "truncated": good[:middle],
            "flipped": good[:middle] + bytes([good[middle] ^ 0x40]) + good[middle + 1 :],
            "checksum": good[:-8] + bytes([good[-8] ^ 1]) + good[-7:],
            "no_trailer": good[:-8],
            "empty": b"",
            "text": b"subject,flair\nA,a.nii.gz\n",
        }
        for name, content in files.items():
            (folder / f"{name}.nii.gz").write_bytes(content)
        holed = voxels.copy()
        holed[30, 30, 20] = np.nan
        save("nan", holed)
        save("zero", np.zeros_like(voxels))
        save("four_d", np.stack([voxels, voxels], axis=3))
        save("skull", voxels + 1)
        (folder / "dangling.nii.gz").symlink_to(folder / "nowhere")
        return dict.fromkeys(files, "cannot be read in full") | {
            "empty": "is empty",
            "text": "not a valid NIfTI file",
            "nan": "1 voxels that are NaN",
            "zero": "zero everywhere",
            "four_d": "4 dimensions",
            "skull": "not skull-stripped",
            "dangling": "does not exist",
        }

    return make
