"""What `pip install mmccd` gives: built from the sources here, put where nothing else is, and used."""

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    isolation = ["--no-build-isolation"] if find_spec("hatchling") else []  # else pip fetches it
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--quiet", "--wheel-dir", str(folder)]
    done = subprocess.run([*command, *isolation], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode and not isolation and "hatchling" in done.stderr:
        pytest.skip("hatchling is neither installed nor to be had: pip install hatchling")
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as package:
        names = set(package.namelist())
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"mmccd"}
    ours = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src" / "mmccd").rglob("*") if path.is_file()}
    assert {name for name in names if name.startswith("mmccd/")} == {name for name in ours if "__pycache__" not in name}
    for needed in (
        "presets/best.yaml",
        "weights/flair/model.safetensors",
        "weights/t1/card.json",
        "weights/MODEL_CARD.md",
    ):
        assert f"mmccd/{needed}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert wheel.stat().st_size < 15e6


def test_it_scores_a_scan(wheel, healthy_scan, tmp_path):
    place = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    environment = os.environ | {"PYTHONPATH": str(place)}

    def run(*arguments):
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("-c", "import mmccd; print(mmccd.__file__)").strip() == str(place / "mmccd" / "__init__.py")
    run("-m", "mmccd", "predict", "builtin:flair", str(healthy_scan), "-o", "out", "-q")
    assert (tmp_path / "out" / "Phantom_0006_flair_anomaly.nii.gz").is_file()
