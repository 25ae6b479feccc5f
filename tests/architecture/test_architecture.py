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
# Modules whose tests go through the module that uses them.
TESTED_BY = {
    "autoencoder": "reconstruction",
    "benchmark_pictures": "benchmark",
    "benchmark_result": "benchmark",
    "benchmark_scores": "benchmark",
    "cases": "validation",
    "cli_data": "cli",
    "cli_models": "cli",
    "cli_report": "report",
    "cli_results": "cli",
    "cli_shared": "cli",
    "contenders": "benchmark",
    "denoising_autoencoder": "reconstruction",
    "diffusion_reconstruction": "reconstruction",
    "errors": "preparation",
    "file_roles": "layouts",
    "evaluation_result": "evaluation",
    "outcomes": "prediction",
    "patched_diffusion": "reconstruction",
    "phantom_anatomy": "phantom",
    "phantom_lesions": "phantom",
    "phantom_signal": "phantom",
    "report_case": "report_predictions",
    "scored_case": "evaluation",
    "tables": "layouts",
    "variational_autoencoder": "reconstruction",
}
# Tested against published numbers, by properties, or with files made to do harm.
TESTED_ELSEWHERE = {"cycle", "diffusion", "inpainting", "masked_diffusion", "masks", "model_package"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_files_are_short_and_named_for_what_they_hold(path):
    assert len(path.read_text().splitlines()) <= 400
    assert path.stem not in ("utils", "util", "common", "base", "helpers", "misc", "core", "tools")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_modules_and_public_functions_are_described(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


def test_every_module_has_a_test_file_and_every_test_file_a_module():
    modules = {path.stem for path in PACKAGE.glob("[!_]*.py")}
    tested = {path.stem.removeprefix("test_") for path in (TESTS / "unit").glob("test_*.py")}
    assert tested - modules <= {"package"}
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
        ("mmccd.cli", ("torch", "numpy", "pandas", "nibabel", "matplotlib")),
        ("mmccd.preparation", ("torch", "matplotlib", "lightning")),
        ("mmccd.phantom", ("torch", "matplotlib", "lightning")),
        ("mmccd.detector", ("lightning", "typer")),
    ],
)
def test_what_an_import_costs(modules, absent):
    """Start-up time, and no training framework where nothing is trained."""
    code = f"import sys, {modules}; print(sorted(set({absent!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
