"""Files that claim too much are refused before memory is spent on them; measured in processes of their own."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from odd_inputs import SCANS, VOXELS, raw, saved

from mmccd.data.volumes import read_volume
from mmccd.errors import ConfigError, DataError

LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
MEASURE = """
import json, pathlib, re, sys, time
from mmccd.errors import MmccdError
from mmccd.data.volumes import read_volume
before = time.perf_counter()
try:
    read_volume(sys.argv[1])
    said = ""
except MmccdError as error:
    said = error.message
peak_mb = int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"said": said, "peak_mb": peak_mb, "seconds": time.perf_counter() - before}))
"""


def measured(path):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout)


def bomb(path, shape, last=b""):
    """Float voxels that are zero, written without holding them."""
    size = 4 * shape[0] * shape[1] * shape[2]
    header = raw(VOXELS[:1, :1, :1], "f4", **{f"dim__{i}": n for i, n in enumerate(shape, start=1)})[:352]
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(header)
        for _ in range(size // 2**20):
            stream.write(bytes(2**20))
        stream.write(bytes(size % 2**20 - len(last)) + last)
    return path


@LINUX
@pytest.mark.parametrize("last", [b"", b"\0\0\x80?"], ids=["zeros", "one voxel"])
@pytest.mark.parametrize(("side", "most_mb"), [(300, 400), pytest.param(600, 2000, marks=pytest.mark.slow)])
def test_a_small_file_that_unpacks_to_a_large_one_is_read_in_twice_its_memory(tmp_path, side, most_mb, last):
    path = bomb(tmp_path / "bomb.nii.gz", (side, side, side), last)
    assert path.stat().st_size < 4 * side**3 / 1000

    found = measured(path)

    print(f"peak {found['peak_mb']:.0f} MB, {found['seconds']:.1f} s, {found['said']!r}")
    assert ("is zero everywhere" in found["said"]) == (not last)
    assert found["peak_mb"] < most_mb


@LINUX
def test_a_file_that_unpacks_to_more_than_it_claims_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(raw() + bytes(300 * 2**20)))

    found = measured(path)

    assert "holds more than its header claims" in found["said"]
    assert found["peak_mb"] < 250


@LINUX
def test_a_header_that_claims_too_much_is_refused_at_once(tmp_path):
    huge = next(odd for odd in SCANS if odd.name == "dim_huge")
    huge.make(huge.path(tmp_path))

    found = measured(huge.path(tmp_path))

    print(f"peak {found['peak_mb']:.0f} MB, {found['seconds']:.3f} s")
    assert "claims 35181150961663 voxels" in found["said"]
    assert found["seconds"] < 1
    assert found["peak_mb"] < 250


def test_the_limit_can_be_moved(tmp_path, monkeypatch):
    saved()(tmp_path / "a.nii.gz")
    monkeypatch.setenv("MMCCD_MOST_VOXELS", str(VOXELS.size))
    assert read_volume(tmp_path / "a.nii.gz").data.shape == VOXELS.shape
    monkeypatch.setenv("MMCCD_MOST_VOXELS", str(VOXELS.size - 1))
    with pytest.raises(DataError, match="claims 9504 voxels") as caught:
        read_volume(tmp_path / "a.nii.gz")
    assert "MMCCD_MOST_VOXELS" in caught.value.hint
    monkeypatch.setenv("MMCCD_MOST_VOXELS", "many")
    with pytest.raises(ConfigError, match="MMCCD_MOST_VOXELS is 'many'"):
        read_volume(tmp_path / "a.nii.gz")
