"""Code hidden in files: each payload makes one file, the marker, when it runs."""

import gzip
import os
import pickle

import joblib
import numpy as np
import pytest
import torch

FINE, USAGE, SOME_FAILED, NONE_WORKED = 0, 2, 3, 4


class Trap:
    """Makes the marker, a folder, when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return (os.mkdir, (self.marker,))


def assert_it_runs(marker):
    """What was done to the payload before this line ran it; the marker is taken away again."""
    assert marker.exists()
    marker.rmdir()


def raw_pickle(trap, path):
    path.write_bytes(pickle.dumps(trap))


def torch_zip(trap, path):
    torch.save({"state_dict": {"weight": torch.zeros(2)}, "global_step": 4, "mmccd": trap}, path)


def torch_legacy(trap, path):
    torch.save({"mmccd": trap}, path, _use_new_zipfile_serialization=False)


def joblib_file(trap, path):
    with path.open("wb") as stream:
        joblib.dump({"weights": trap}, stream)


def numpy_objects(trap, path):
    with path.open("wb") as stream:
        np.save(stream, np.array([trap], dtype=object), allow_pickle=True)


def numpy_archive(trap, path):
    with path.open("wb") as stream:
        np.savez(stream, flair=np.array([trap], dtype=object))


def gzipped_pickle(trap, path):
    path.write_bytes(gzip.compress(pickle.dumps(trap)))


def trusting_torch(path):
    torch.load(path, weights_only=False)


def trusting_numpy(path):
    found = np.load(path, allow_pickle=True)
    if isinstance(found, np.lib.npyio.NpzFile):
        found["flair"]


PAYLOADS = {
    "raw pickle": (raw_pickle, lambda path: pickle.loads(path.read_bytes())),
    "torch zip": (torch_zip, trusting_torch),
    "torch before 1.6": (torch_legacy, trusting_torch),
    "joblib": (joblib_file, joblib.load),
    "npy of objects": (numpy_objects, trusting_numpy),
    "npz of objects": (numpy_archive, trusting_numpy),
    "gzipped pickle": (gzipped_pickle, lambda path: pickle.loads(gzip.decompress(path.read_bytes()))),
}
each_payload = pytest.mark.parametrize("write", [write for write, _ in PAYLOADS.values()], ids=list(PAYLOADS))
# Where a file is read as text or as a scan, bytes that are neither are refused alike.
two_payloads = pytest.mark.parametrize("write", [raw_pickle, numpy_objects])
