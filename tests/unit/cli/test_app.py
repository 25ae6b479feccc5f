"""The command line in this process: what it prints, where, and with which exit code."""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

import mmccd
from mmccd.comparison.dry_run import MethodCost
from mmccd.errors import MmccdError
from mmccd.model.card import Training
from mmccd.model.config import load_config
from mmccd.model.folder import load_model

# --- the path ---


def test_predict_as_bids(run, check_error, bids_folder, model_folder, tmp_path):
    given = ("predict", model_folder, bids_folder, "-o", tmp_path / "out", "--bids", "--device", "cpu", "-q")
    code, out, error = run(*given)
    assert (code, error) == (0, "")
    assert "sub-02_ses-a" in out
    assert out.endswith(f"summary  {tmp_path / 'out' / 'sourcedata' / 'mmccd' / 'summary.csv'}\n")
    assert (tmp_path / "out" / "sub-01" / "anat" / "sub-01_label-lesion_mask.nii.gz").is_file()
    said = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert said["GeneratedBy"][0]["Model"]["Name"] == model_folder.name

    code, _, error = run(*given, "--series", 3)
    assert code == 2
    assert "--series chooses among DICOM" in check_error(error)


def test_the_whole_path(run, inline, tmp_path, config_file):
    data, store, trained, model = (tmp_path / name for name in ("data", "store", "trained", "model"))
    results, tables = tmp_path / "results", tmp_path / "tables"

    code, out, _ = run("phantom", data, "--subjects", 2, "--lesions", 1, "--spacing", 4, "--workers", 1, "-q")
    assert code == 0
    assert "3 subjects in" in out

    code, out, error = run("validate", data, "--quiet")
    assert (code, error) == (0, "")
    assert "layout brats, 3 subjects" in out

    code, out, error = run("prepare", data, store, "--size", 48, "--modalities", "flair,t1,t2", "-q")
    assert (code, error) == (0, "")
    assert "split.csv in the cohort's folder: 1 training, 1 validation, 1 test subjects" in " ".join(out.split())

    code, out, error = run(
        "train",
        store,
        trained,
        "--config",
        config_file,
        "--config",
        "fast",
        "--target",
        "t1, t2",
        "--set",
        "training.steps=1",
        "--seed",
        5,
        "--device",
        "cpu",
        "-q",
    )
    assert (code, error) == (0, "")
    assert out.startswith("method     MMCCD (mmccd), flair → t1, t2 → flair, scored by squared error, 1 steps\n")
    assert "0.05 of the brain in healthy slices lies above" in " ".join(out.split())
    card = json.loads((trained / "card.json").read_text())
    assert (card["config"]["seed"], card["config"]["training"]["steps"]) == (5, 1)
    assert (card["config"]["method"], card["config"]["targets"]) == ("mmccd", ["t1", "t2"])

    code, out, error = run("calibrate", trained, store, model, "--config", "best", "--device", "cpu", "-q")
    assert (code, error) == (0, "")
    assert f"model      {model}" in out.replace("\n", "")
    assert "0.02 of the brain in healthy slices lies above" in " ".join(out.split())
    card = json.loads((model / "card.json").read_text())
    assert (card["config"]["scoring"]["error"], card["config"]["targets"]) == ("tail", ["t1", "t2"])

    code, out, error = run(
        "predict", model, data, "-o", results, "--split", data / "split.csv", "--device", "cpu", "-q"
    )
    assert (code, error) == (0, "")
    assert "Phantom_0003" in out
    assert "Phantom_0001" not in out

    code, out, error = run("evaluate", results, data, "-o", tables, "--resamples", 100, "-q")
    assert (code, error) == (0, "")
    assert "intensity threshold" in out
    page = (tables / "table.md").read_text()
    assert "| smoothed intensity |" in page
    assert "| model - smoothed intensity |" in page
    assert (tables / "montage.png").is_file()

    for path, key in ((store, "size_px"), (model, "threshold")):
        code, out, _ = run("info", path, "--json")
        assert code == 0
        assert key in json.loads(out)


def test_info_as_a_table(run, model_folder):
    code, out, error = run("info")
    assert (code, error) == (0, "")
    assert mmccd.__version__ in out
    code, out, _ = run("info", model_folder)
    assert "weights_sha256" in out


def test_version_and_help(run):
    assert run("--version") == (0, f"mmccd {mmccd.__version__}\n", "")
    for command in ("info", "demo", "phantom", "validate", "prepare", "train", "calibrate", "predict", "evaluate"):
        code, out, error = run(command, "--help")
        assert (code, error) == (0, "")
        assert "Usage: mmccd" in out


def test_demo_prints_its_first_result_at_once_then_the_table_and_where_things_are(run, monkeypatch, tmp_path):
    from mmccd.overview.demo import DemoResult, FirstResult

    class Fake:
        @staticmethod
        def table():
            return [["method", "Dice"], ["mmccd", "0.5"], ["intensity threshold", "0.4"]]

    asked = {}

    def first_result(output, *, seed, scan, progress_of):
        asked.update(first=(output, seed, scan))
        return FirstResult(output / "first.html", output / "first.png")

    def demo(output, *, seed, workers, progress_of):
        asked.update(then=(output, seed, workers))
        with progress_of("train") as report:
            report("x", 1, 1)
        return DemoResult({("t2", "MMCCD"): Fake()}, output / "montage.png", output / "r.html")

    monkeypatch.setattr("mmccd.overview.demo.first_result", first_result)
    monkeypatch.setattr("mmccd.overview.demo.demo", demo)
    code, out, error = run("demo", "-o", tmp_path / "d", "--seed", 4, "--workers", 3, "--scan", "my.nii.gz")
    assert code == 0
    assert asked == {"first": (tmp_path / "d", 4, Path("my.nii.gz")), "then": (tmp_path / "d", 4, 3)}
    assert error.startswith("train: 1/1 x")
    assert out.index("first.html") < out.index("Dice") < out.index("r.html")
    assert all(text in out for text in ("T2: MMCCD", "0.5", "T2: intensity threshold", "simulated", "montage.png"))


def test_benchmark_hands_on_what_is_asked_and_prints_a_table_per_source(
    run, check_error, store_of_three, tmp_path, monkeypatch
):
    asked = {}

    class Result:
        page = tmp_path / "RESULTS.md"

        @staticmethod
        def table(source):
            return [["method", "auprc"], ["Veiled cycle (best)", f"0.7 on {source}"]]

    def benchmark(store, output, plan, *, others, command, progress):
        asked.update(command=command, digest=store.digest, output=output, plan=plan, others=list(others))
        progress("flair: AE", 0, 1)
        return Result()

    monkeypatch.setattr("mmccd.comparison.benchmark.benchmark", benchmark)
    code, out, error = run(
        "benchmark", store_of_three.path, tmp_path / "out", "--methods", "mmccd, ae", "--sources", "flair,t2",
        "--also", f"ms={store_of_three.path}", "--set", "training.steps=7", "--no-paper-sampler", "--seed", 3,
    )  # fmt: skip
    assert code == 0, error
    plan, asked_command = asked.pop("plan"), asked.pop("command")
    assert asked == {"digest": store_of_three.digest, "output": tmp_path / "out", "others": ["ms"]}
    command = "mmccd benchmark STORE OUT --size small --seed 3 --also ms=STORE --set training.steps=7"
    assert asked_command == f"{command} --methods mmccd, ae --sources flair,t2 --no-paper-sampler"
    assert (plan.methods, plan.sources, plan.overrides) == (("mmccd", "ae"), ("flair", "t2"), {"training.steps": 7})
    assert (plan.seed, plan.paper_sampler, plan.size) == (3, False, "small")
    assert all(text in out for text in ("0.7 on flair", "0.7 on t2", "RESULTS.md", "flair as input"))
    code, _, error = run("benchmark", store_of_three.path, tmp_path / "out", "--also", "ms")
    assert code == 2
    assert "--also 'ms' is not of the form NAME=STORE" in check_error(error)


def test_a_dry_run_of_a_benchmark_prints_minutes_and_trains_nothing(run, store_of_three, tmp_path, monkeypatch):
    plans = []

    def benchmark_cost(store, output, plan, *, others, progress):
        plans.append(plan)
        return [MethodCost("DAE", 60.0, 30.0, 90.0), MethodCost("AE", 60.0, 0.0, 0.0)]

    monkeypatch.setattr("mmccd.comparison.dry_run.benchmark_cost", benchmark_cost)
    options = ("--methods", "dae,ae", "--sources", "t1", "--dry-run", "-q")
    code, out, error = run("benchmark", store_of_three.path, tmp_path / "out", *options)
    assert code == 0, error
    assert (plans[0].methods, plans[0].sources) == (("dae", "ae"), ("t1",))
    rows = [line.replace("│", " ").split() for line in out.splitlines() if "│" in line]
    assert rows == [
        ["DAE", "1.0", "0.5", "1.5", "3.0"],
        ["AE", "1.0", "0.0", "0.0", "1.0"],
        ["all", "2.0", "0.5", "1.5", "4.0"],
    ]
    assert not (tmp_path / "out").exists()


@pytest.fixture
def asked(monkeypatch, model_folder):
    """The settings that `mmccd train` was asked for, and no training."""
    seen = []
    trained = load_model(model_folder)
    trained = replace(trained, card=trained.card.model_copy(update={"training": Training(steps=100_000)}))

    def train(store, model, config, **_):
        seen.append(config)
        return trained

    monkeypatch.setattr("mmccd.training.train.train", train)
    return seen


def test_a_later_config_goes_over_an_earlier_one_and_options_over_both(run, asked, phantom_store, tmp_path):
    train = ("train", phantom_store.path, tmp_path / "m", "--device", "cpu", "-q")
    small, best = load_config("small"), load_config("best")

    assert run(*train, "--config", "small", "--config", "best", "--target", "t1,t2")[0] == 0
    assert run(*train, "--config", "best", "--config", "small", "--set", "targets=[t1]", "--set", "seed=3")[0] == 0
    assert run(*train, "--config", "small", "--method", "cyclic-unet", "--config", "best")[0] == 0

    first, second, third = asked
    assert (first.network, first.training, first.scoring) == (small.network, small.training, best.scoring)
    assert (first.method, first.targets) == ("veiled-cycle", ("t1", "t2"))
    assert (second.network, second.targets, second.seed) == (small.network, ("t1",), 3)
    assert third.method == "cyclic-unet"


@pytest.mark.parametrize(("configs", "slow"), [([], True), (["paper", "best"], True), (["small", "best"], False)])
def test_the_papers_size_on_a_cpu_is_a_warning(run, asked, phantom_store, tmp_path, configs, slow):
    options = [text for name in configs for text in ("--config", name)]
    code, _, error = run("train", phantom_store.path, tmp_path / "m", *options, "--device", "cpu", "-q")
    assert code == 0
    assert error.startswith("warning: the paper's networks take weeks") if slow else error == ""
    assert asked[0].network == load_config("paper" if slow else "small").network


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--config small", "MMCCD (mmccd), flair → t2 → flair, scored by squared error, 1,000 steps"),
        (
            "--config small --config best",
            "Veiled cycle (veiled-cycle), flair → t2 → flair, scored by tail evidence, 1,000 steps",
        ),
        ("--config tiny --method dae", "DAE (dae), flair, scored by squared error, 500 steps"),
    ],
)
def test_train_says_which_method_it_trains_before_it_starts(
    run, phantom_store, model_folder, tmp_path, monkeypatch, capsys, options, said
):
    """A preset of a size names no method: nobody should find out after half an hour which one it was."""
    printed = []

    def train(*_, **__):
        printed.append(capsys.readouterr().out)
        return load_model(model_folder)

    monkeypatch.setattr("mmccd.training.train.train", train)
    assert run("train", phantom_store.path, tmp_path / "m", *options.split(), "--device", "cpu", "-q")[0] == 0
    assert printed == [f"method     {said}\n"]


def test_a_dry_run_prints_what_it_will_cost_and_trains_nothing(run, asked, phantom_store, tmp_path, config_file):
    code, out, error = run(
        "train", phantom_store.path, tmp_path / "m", "--config", config_file, "--device", "cpu", "-q", "--dry-run"
    )
    assert code == 0, error
    for what in ("steps per second", "FLOPs per step", "calibration", "whole run", "peak memory", "checkpoint"):
        assert what in out
    assert "Nothing was written." in out
    assert asked == []
    assert not (tmp_path / "m").exists()


def test_settings_of_earlier_versions_are_understood_and_said(run, asked, phantom_store, tmp_path):
    train = ("train", phantom_store.path, tmp_path / "m", "--config", "published", "--device", "cpu", "-q")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _, error = run(*train, "--set", "scoring.evidence=square")
    assert code == 0
    first, second, slow = error.splitlines()
    assert first == "warning: the preset published is called paper now"
    assert second == "warning: setting scoring.evidence is called scoring.error now, and square is squared"
    assert "take weeks to train on a CPU" in slow
    assert asked == [load_config("paper", {"scoring.error": "squared"})]


@pytest.mark.parametrize(
    ("name", "said"),
    [("paper-slices", []), ("published", ["warning: the protocol published is called paper-slices now"])],
)
def test_a_protocol_by_the_name_that_it_had_once(run, phantom_folder, tmp_path, monkeypatch, name, said):
    asked = []

    def prepare(cohort, split, output, settings, **_):
        asked.append(settings.protocol)
        raise MmccdError("that is enough", "of it")

    monkeypatch.setattr("mmccd.data.prepare.prepare", prepare)
    _, _, error = run("prepare", phantom_folder, tmp_path / "store", "--protocol", name, "-q")
    assert asked == ["paper-slices"]
    assert error.splitlines() == [*said, "error: that is enough", "hint: of it"]


def test_train_says_that_it_stopped_early(run, phantom_store, model_folder, tmp_path, config_file, monkeypatch):
    model = load_model(model_folder)
    early = replace(model, card=model.card.model_copy(update={"training": Training(steps=2)}))
    monkeypatch.setattr("mmccd.training.train.train", lambda *_, **__: early)
    code, out, _ = run("train", phantom_store.path, tmp_path / "m", "--config", config_file, "-q")
    assert code == 0
    assert "stopped    early, at step 2 of 4" in out
    monkeypatch.setattr("mmccd.training.train.train", lambda *_, **__: model)
    assert "stopped" not in run("train", phantom_store.path, tmp_path / "m", "--config", config_file, "-q")[1]


@pytest.mark.parametrize(
    "name",
    [
        "x[b",
        "scan[a]",
    ],
)
def test_names_in_brackets_are_printed_as_they_are(run, healthy_scan, model_folder, tmp_path, name):
    shutil.copy(healthy_scan, tmp_path / f"{name}.nii.gz")
    code, out, _ = run("predict", model_folder, tmp_path / f"{name}.nii.gz", "-o", tmp_path / "o", "-q")
    assert code == 0
    assert name in out


def test_what_is_small_is_removed_where_it_is_asked(run, lesioned_scan, model_folder, tmp_path):
    code, _, _ = run("predict", model_folder, lesioned_scan, "-o", tmp_path, "--min-lesion-ml", "1000", "-q")
    assert code == 0
    record = json.loads((tmp_path / "Phantom_0007_flair.json").read_text())
    assert (record["min_lesion_ml"], record["lesion_volume_ml"], record["findings"]) == (1000, 0, [])
    assert len((tmp_path / "findings.csv").read_text().splitlines()) == 1


# --- calibrate to another site ---


@pytest.mark.parametrize("with_split", [False, True])
def test_healthy_scans_of_another_site_are_enough(
    run, check_error, inline, phantom_folder, model_folder, tmp_path, with_split
):
    """As the hint of `calibrate` says: the source modality of healthy subjects, all of them for validation."""
    site, store = tmp_path / "site", tmp_path / "store"
    for name in ("Phantom_0001", "Phantom_0002"):
        (site / name).mkdir(parents=True)
        shutil.copy(phantom_folder / name / f"{name}_flair.nii.gz", site / name)
    prepare = ("prepare", site, store, "--size", 48, "--modalities", "flair", "-q")
    if with_split:
        (site / "split.csv").write_text("subject,split\nPhantom_0001,test\nPhantom_0002,test\n")
        assert run(*prepare)[0] == 0
        code, _, error = run("calibrate", model_folder, store, tmp_path / "m")
        assert code == 4
        assert check_error(error) == "error: the store has no healthy validation slice"
        assert "with --fractions 0 1 0, or name them by --validation-list if they have a split" in error
        shutil.rmtree(store)
        (tmp_path / "list.txt").write_text("Phantom_0001\nPhantom_0002\n")
        code, out, error = run(*prepare, "--validation-list", tmp_path / "list.txt")
    else:
        code, out, error = run(*prepare, "--fractions", 0, 1, 0)
    assert (code, error) == (0, "")
    assert "0 training, 2 validation, 0 test subjects" in " ".join(out.split())

    code, _, error = run("calibrate", model_folder, store, tmp_path / "m", "--device", "cpu", "-q")
    assert (code, error) == (0, "")
    threshold = json.loads((tmp_path / "m" / "card.json").read_text())["threshold"]
    assert threshold["subjects"] == 2
    assert threshold["value"] != json.loads((model_folder / "card.json").read_text())["threshold"]["value"]
