"""The shape of the project, checked rather than promised."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "mmccd"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = ROOT / "tests"
# What is read in one sitting, and how long it may be.
PAPER = ("method/diffusion", "method/masks", "method/anomaly_map", "method/masked_cycle")
VEILED_CYCLE = ("method/veiled_cycle", "scoring/evidence", "scoring/maps")
# Modules whose tests go through the module that uses them, in the same folder or another.
TESTED_BY = {
    "cli/data": "cli/app",
    "cli/models": "cli/app",
    "cli/options": "cli/app",
    "cli/output": "cli/app",
    "cli/report": "reporting/report",
    "cli/results": "cli/app",
    "data/parts": "data/splits",
    "data/subject": "data/validate",
    "data/tables": "data/layouts/registry",
    "errors": "data/prepare",
    "evaluation/case": "evaluation/evaluate",
    "evaluation/tables": "evaluation/evaluate",
    "overview/check": "overview/doctor",
    "method/baselines/autoencoder": "method/baselines/reconstruction",
    "method/baselines/denoising_autoencoder": "method/baselines/reconstruction",
    "method/baselines/diffusion_reconstruction": "method/baselines/reconstruction",
    "method/baselines/patched_diffusion": "method/baselines/reconstruction",
    "method/baselines/variational_autoencoder": "method/baselines/reconstruction",
    "method/method": "method/registry",
    "method/references": "reporting/methods_text",
    "model/card": "model/folder",
    "model/export": "model/folder",
    "model/model": "model/folder",
    "system/cluster_process": "system/cluster",
    "system/extra": "raw/brain",
    "reporting/article": "reporting/predictions",
    "reporting/case": "reporting/predictions",
    "reporting/cohort_page": "reporting/predictions",
    "reporting/more_pages": "reporting/predictions",
    "reporting/standing": "reporting/predictions",
    "simulation/anatomy": "simulation/phantom",
    "simulation/lesions": "simulation/phantom",
    "simulation/signal": "simulation/phantom",
    "training/fitting": "training/train",
    "version": "system/provenance",
}
# Tested against published numbers, by properties, or with files made to do harm.
TESTED_ELSEWHERE = {
    "method/anomaly_map",
    "method/diffusion",
    "method/masked_cycle",
    "method/masks",
    "model/files",
}


def place(path):
    """Where a module or its test lies in the house: ``method/cycle``."""
    return str(path.with_suffix("")).replace("/test_", "/").removeprefix("test_")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short_and_named_for_what_they_hold(path):
    assert len(path.read_text().splitlines()) <= 400
    assert path.stem not in ("utils", "util", "common", "base", "helpers", "misc", "core", "tools")


@pytest.mark.parametrize(("modules", "lines"), [(PAPER, 400), (VEILED_CYCLE, 300)])
def test_the_core_is_read_in_one_sitting(modules, lines):
    assert sum(len((PACKAGE / f"{module}.py").read_text().splitlines()) for module in modules) < lines


def test_the_folders_tell_the_story():
    """What lies beside them is what all of them need."""
    assert len([path for path in PACKAGE.iterdir() if path.is_file()]) <= 8
    assert all((path / "__init__.py").is_file() for path in PACKAGE.rglob("*") if list(path.glob("*.py")))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_public_functions_are_described(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


def test_every_module_has_a_test_file_and_every_test_file_a_module():
    """Where one would be too long: `test_MODULE.py` and `test_MODULE_what.py`."""
    modules = {place(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("[!_]*.py")}
    tested = {place(path.relative_to(TESTS / "unit")) for path in (TESTS / "unit").rglob("test_*.py")}
    parts = {one for one in tested - modules if any(one.startswith(f"{module}_") for module in modules & tested)}
    assert tested - modules - parts <= {"package"}
    assert modules - tested - TESTED_ELSEWHERE == set(TESTED_BY) - tested
    assert set(TESTED_BY.values()) <= tested


def test_names_of_tests_are_unique_in_their_file():
    """A second function of one name hides the first, which then never runs."""
    for path in TESTS.rglob("test_*.py"):
        names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert len(names) == len(set(names)), path.name


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("mmccd", ("torch", "numpy", "pandas", "nibabel", "rich")),
        ("mmccd.cli.app", ("torch", "numpy", "pandas", "nibabel", "matplotlib")),
        ("mmccd.data.prepare", ("torch", "matplotlib", "lightning")),
        ("mmccd.simulation.phantom", ("torch", "matplotlib", "lightning")),
        ("mmccd.prediction.detector", ("lightning", "typer", "monai")),
        ("mmccd.prediction.bids, mmccd.data.splits", ("pandas", "matplotlib")),
    ],
)
def test_what_an_import_costs(modules, absent):
    """Start-up time, and no training framework where nothing is trained."""
    code = f"import sys, {modules}; print(sorted(set({absent!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_is_loaded_without_the_compiler_of_pytorch():
    """It takes as long to import as PyTorch itself, and is imported for a noise schedule whose shape alone is asked."""
    code = (
        "import sys, mmccd; mmccd.Detector.load('builtin:flair'); "
        "print(sorted({'torch._dynamo', 'sympy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
