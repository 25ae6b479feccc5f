"""The documentation names what exists, and everything that a user can set."""

import ast
import re
import shlex
import shutil
import subprocess
import tomllib
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest
import typer
import yaml
from pydantic import BaseModel

import mmccd
from mmccd.cli.app import app
from mmccd.cli.bids_app import parser
from mmccd.comparison.plan import SIZES
from mmccd.data.layouts.registry import LAYOUTS
from mmccd.method.registry import METHODS
from mmccd.model.card import THRESHOLD_KINDS
from mmccd.model.config import BY_SOURCE, OTHER, Config, presets

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
# The changelog and the decisions also name what is no more.
PAGES_OF_TODAY = [page for page in PAGES if page.name != "CHANGELOG.md" and page.parent.name != "decisions"]
COMMANDS = typer.main.get_command(app).commands
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([\w/]+)\.py:([\w.]+)`")
_RESULT = re.compile(r"(?<![\d.])\d\.\d{3}(?!\d| mm)")
_MACHINE_PATHS = tuple(f"/{name}/" for name in ("work", "root"))


def _settings(model=Config, prefix=""):
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _settings(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.default


def _flat(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _cells(line):
    return [cell.strip().strip("`") for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(("key", "default"), list(_settings()))
def test_each_setting_is_documented_with_its_default(key, default):
    rows = [
        _cells(line)
        for line in (DOCS / "reference" / "config.md").read_text().splitlines()
        if line.startswith(f"| `{key}` |")
    ]
    assert rows, f"docs/reference/config.md has no row for {key}"

    written = yaml.safe_load(rows[0][2])

    assert (tuple(written) if isinstance(written, list) else written) == default


@pytest.mark.parametrize("preset", presets())
def test_each_preset_is_documented_with_its_values(preset):
    _, _, table = (DOCS / "reference" / "config.md").read_text().partition("## Presets")
    header, *rows = (_cells(line) for line in table.splitlines() if line.startswith("| ") and "`" in line)
    shown = {row[0]: yaml.safe_load(row[header.index(preset)]) for row in rows}
    values = dict(_flat(yaml.safe_load((resources.files("mmccd.model.presets") / f"{preset}.yaml").read_text())))

    assert {key: shown.get(key) for key in values} == values


def _section(page, title):
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_is_documented_with_its_options(command):
    page = DOCS / "reference" / "cli.md"
    section, shared = _section(page, command), _section(page, "Options that several commands share")
    assert section, f"docs/reference/cli.md has no section for {command}"

    for parameter in COMMANDS[command].params:
        if parameter.param_type_name == "argument":
            assert f"`{parameter.name.upper()}`" in section, f"argument {parameter.name} of {command}"
            continue
        for name in (*parameter.opts, *parameter.secondary_opts):
            if name != "-q":
                assert f"`{name}`" in section, f"option {name} of {command}"
            else:
                assert f"`{name}`" in shared


def _command_lines():
    """Of all pages: what a reader may copy, without comments."""
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("mmccd "):
                    yield str(page.relative_to(ROOT)), line


@pytest.mark.parametrize(("page", "line"), list(_command_lines()))
def test_a_command_line_that_is_shown_is_understood(page, line):
    words = shlex.split(re.sub(r"\$\w+", "1", line), comments=True)[1:]  # a variable of the shell may be a number
    words = words[: next((n for n, word in enumerate(words) if word in ("|", ">", "&&", "||", ";")), len(words))]
    if words[0].startswith("-"):
        assert words[0] in {name for one in typer.main.get_command(app).params for name in one.opts}
    else:
        COMMANDS[words[0]].make_context(words[0], words[1:])


def test_the_bids_app_is_documented_with_its_options():
    section = _section(DOCS / "reference" / "cli.md", "mmccd-bids")
    names = [name for action in parser()._actions for name in action.option_strings or [action.metavar or ""]]
    assert len(names) > 15
    assert [name for name in names if name and f"`{name}`" not in section] == []


def _typed(text):
    """Commands of ours on a page, in blocks and in lines: each as its words."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *re.findall(r"`(mmccd[^`]*)`", text.replace("\n", " "))]:
        words = shlex.split(line.replace("\\|", "|"), comments=True)
        starts = [place for place, word in enumerate(words) if word in ("mmccd", "mmccd-bids")]
        if starts:
            yield words[starts[0] :]


def _is_setting(key):
    """A setting, an entry of one that is told by modality, or a placeholder as in `--set key=value`."""
    setting, _, modality = key.rpartition(".")
    by_source = setting.partition(".")[2] in BY_SOURCE and modality in ("flair", "t1", "t2", OTHER)
    return key in SETTINGS or "." not in key or by_source


def _unknown(words):
    """What of a command does not exist."""
    program, *rest = words
    command = rest[0] if rest else ""
    if program == "mmccd" and re.fullmatch(r"[a-z]+", command) and command not in COMMANDS:
        yield f"command {command}"
        return
    known = {*BIDS_OPTIONS, "--help"} if program == "mmccd-bids" else {*_options(command), *OF_ALL}
    for word, value in pairwise([*rest, ""]):
        beyond = word in CHOICES and re.fullmatch(r"[a-z-]+", value) and value not in CHOICES[word]
        if re.match(r"--?[a-z]", word) and word not in known:
            yield word
        elif beyond or (word == "--set" and not _is_setting(value.partition("=")[0])):
            yield f"{word} {value}"


def _options(command):
    """Of one command; of all where none is named, as in `mmccd COMMAND --seed`."""
    chosen = [COMMANDS[command]] if command in COMMANDS else COMMANDS.values()
    return {name for one in chosen for option in one.params for name in (*option.opts, *option.secondary_opts)}


SETTINGS = {key for key, _ in _settings()}
OF_ALL = {"--help", "--version", "--install-completion", "--show-completion"}
BIDS_OPTIONS = {name for action in parser()._actions for name in action.option_strings}
OF_OTHERS = {"--ntasks", "--ntasks-per-node", "--nthreads", "--recursive"}  # SLURM, BIDS Apps, Git
CHOICES = {
    "--config": presets(), "--layout": {*LAYOUTS, "auto", "dicom"}, "--method": METHODS, "--size": SIZES,
    "--threshold": THRESHOLD_KINDS,
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES_OF_TODAY, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_tells_to_type_exists(page):
    assert [one for words in _typed(page.read_text()) for one in _unknown(words)] == []


@pytest.mark.parametrize("page", PAGES_OF_TODAY, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_and_settings_that_a_page_names_exist(page):
    today = page.read_text().partition("## Settings of earlier versions")[0]
    spans = re.findall(r"`([^`\n]+)`", _FENCE.sub("", today))
    options = {found[0] for span in spans if (found := re.match(r"--[a-z][\w-]+", span))}
    sections = "|".join({key.partition(".")[0] for key in SETTINGS if "." in key})
    keys = {found[0] for span in spans if (found := re.match(rf"({sections})\.[\w.]+", span))}
    assert options - _options("") - BIDS_OPTIONS - OF_OTHERS - OF_ALL == set()
    assert {key for key in keys if not _is_setting(key)} == set()


def test_commands_are_found_and_wrong_ones_noticed():
    page = """```sh
mmccd predit builtin:flair scan.nii.gz
srun mmccd predict model scan.nii.gz --treshold relative \\
  --threshold absolute  # --nonsense
mmccd train store model --set training.stepz=3 --set scoring.polarity.flair=bright --config bests
mmccd-bids in out participant --nothing
```
and `mmccd predict model scans --no-previews`, but not `mmccd COMMAND --help`.
"""
    wrong = ["command predit", "--treshold", "--threshold absolute", "--set training.stepz=3", "--config bests"]
    assert [one for words in _typed(page) for one in _unknown(words)] == [*wrong, "--nothing", "--no-previews"]
    assert sum(len(list(_typed(page.read_text()))) for page in PAGES_OF_TODAY) > 100


def test_each_public_name_is_on_the_pages_for_python():
    pages = "".join(page.read_text() for page in (DOCS / "reference" / "python").glob("*.md"))
    told = set(re.findall(r"auto(?:class|function|exception):: (?:mmccd\.)?(\w+)\b(?!\.)", pages))
    assert set(mmccd.__all__) - {"__version__"} <= told
    listed = re.findall(r"^   (\w+)$", (DOCS / "reference" / "python.md").read_text(), re.MULTILINE)
    assert sorted([*listed, "MmccdError", "__version__"]) == sorted(mmccd.__all__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in _LINK.findall(_FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.relative_to(ROOT)} links to {target}"
        if anchor and linked.suffix == ".md":
            assert anchor in _anchors(linked), f"{page.relative_to(ROOT)} links to {target}"


def _anchors(page):
    titles = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(("module", "name"), sorted({one for page in PAGES for one in _CODE.findall(page.read_text())}))
def test_named_functions_exist(module, name):
    assert name in _definitions(module), f"a page names {module}.py:{name}"


def test_named_files_exist():
    """A path as in `method/masks.py`, of the package or of the whole project."""
    named = {
        (page.name, path)
        for page in PAGES
        for path in re.findall(r"`([\w/]+/\w+\.(?:py|md|csv))[:`]", page.read_text())
    }
    places = (ROOT / "src" / "mmccd", ROOT, ROOT / "tests")
    missing = {one for one in named if not any((place / one[1]).exists() for place in places)}
    assert {one for one in missing if "NAME" not in one[1] and "FORMAT" not in one[1]} == set()


def test_the_map_of_the_code_has_all_folders_in_the_order_of_the_contract():
    shown = re.findall(r"^\| `(\w+)/`", (DOCS / "architecture.md").read_text(), re.MULTILINE)
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [set(layer.split(" | ")) for layer in contract["layers"]]
    there = {path.parent.name for path in (ROOT / "src" / "mmccd").glob("*/__init__.py")}
    assert sorted(shown) == sorted(there)
    places = [next(i for i, layer in enumerate(layers) if name in layer) for name in shown]
    assert places == sorted(places)


@cache
def _definitions(module):
    path = ROOT / "src" / "mmccd" / f"{module}.py"
    if not path.is_file():
        return frozenset()
    found = set()

    def visit(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                found.add(prefix + child.name)
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse(path.read_text()), "")
    return frozenset(found)


def test_each_decision_is_listed():
    listed = (DOCS / "decisions" / "README.md").read_text()

    assert [page.name for page in sorted((DOCS / "decisions").glob("0*.md")) if f"({page.name})" not in listed] == []


def test_each_cited_decision_exists():
    written = {page.name[:4] for page in (DOCS / "decisions").glob("0*.md")}
    sources = (ROOT / "src").rglob("*.py")

    cited = {number: path.name for path in sources for number in re.findall(r"ADR (\d{4})", path.read_text())}

    assert {number: name for number, name in cited.items() if number not in written} == {}


@pytest.mark.skipif(not shutil.which("git") or not (ROOT / ".git").exists(), reason="not a git checkout")
def test_no_file_names_a_path_of_one_machine():
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    offenders = []
    for name in filter(None, listing.split("\0")):
        path = ROOT / name
        if not path.is_file():
            continue
        content = path.read_bytes()
        if b"\0" not in content[:8192] and any(place.encode() in content for place in _MACHINE_PATHS):
            offenders.append(name)

    assert offenders == []


def test_each_test_that_reliability_names_is_there():
    named = re.findall(r"`([\w/]+/test_\w+\.py)(?:::(\w+))?`", (DOCS / "explanation" / "reliability.md").read_text())
    assert len(named) > 30
    for file, test in named:
        assert not test or f"def {test}(" in (ROOT / "tests" / file).read_text(), (file, test)
        assert (ROOT / "tests" / file).is_file(), file


def _tables(page):
    """Of each section of a page, its rows by their first cell: column to cell."""
    found = {}
    for section in re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        lines = [_cells(line) for line in text.splitlines() if line.startswith("|")]
        if len(lines) > 2:
            found[title] = {row[0].strip("*"): dict(zip(lines[0], row, strict=False)) for row in lines[2:]}
    return found


def test_each_result_in_the_readme_is_that_cell_of_the_page_of_the_benchmark():
    (readme,) = (rows for title, rows in _tables(ROOT / "README.md").items() if title == "What it reaches")
    measured = _tables(ROOT / "benchmarks" / "cross_validation.md")
    compared = 0
    for method, cells in readme.items():
        for source in ("FLAIR", "T1", "T2"):
            assert measured[f"{source} as input"][method]["AUPRC"].startswith(f"{cells[source]} ["), (method, source)
            compared += 1
    assert compared >= 15
    assert "smoothed intensity" in readme  # what needs no model stands in every table


def test_no_result_stands_in_the_prose_of_the_readme():
    """Three decimals are a result, but for lengths: a number outside the table is one that no test compares."""
    assert not _RESULT.findall(re.sub(r"^\|.*$", "", (ROOT / "README.md").read_text(), flags=re.MULTILINE))


def test_the_readme_is_read_in_one_go():
    assert len((ROOT / "README.md").read_text().splitlines()) < 120
