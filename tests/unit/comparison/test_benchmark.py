"""The whole of a benchmark in miniature: what it writes, and that a killed one goes on."""

import csv
import json
import shutil
from dataclasses import replace

import pytest
import torch

import mmccd.comparison.benchmark as benchmark_module
from mmccd.comparison.artefacts import ARTEFACTS
from mmccd.comparison.benchmark import benchmark, with_paper_sampler
from mmccd.comparison.contenders import BEST, PAPER_SAMPLER, contenders
from mmccd.comparison.record import read_results
from mmccd.data.store import Store
from mmccd.errors import ConfigError
from mmccd.method.anomaly_map import squared_error
from mmccd.model.folder import load_model
from mmccd.system.progress import no_progress
from mmccd.training.train import Hardware


@pytest.mark.parametrize("model", ["mmccd", "mmccd_squared"])
def test_a_model_that_an_older_version_left_there_is_refused(store, plan, done, tmp_path, model):
    """It has no relative threshold, and would be no row beside the others."""
    output, _, _ = done
    shutil.copytree(output, tmp_path / "out", ignore=shutil.ignore_patterns("MMCCD-fast*"))
    card = tmp_path / "out" / "models" / "flair" / model / "card.json"
    values = json.loads(card.read_text())
    del values["relative_threshold"]
    card.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match="calibrated by an older version, without relative_threshold"):
        benchmark(store, tmp_path / "out", plan, others={"again": store})


def test_every_contender_has_a_record_with_all_that_it_came_from(store, plan, done):
    output, result, told = done
    names = [contender.name for contender in contenders(plan.methods, paper_sampler=False)]
    assert [record.contender for record in result.records] == names
    for record in result.records:
        assert record.split_digest == store.manifest.split_digest
        assert record.seed == 0
        assert {row["subject"] for row in record.rows} == {"Phantom_0007", "Phantom_0008"}
        assert set(record.artefacts) == set(ARTEFACTS)
        assert record.kinds["again"][0]["auprc"] == record.rows[0]["auprc"]
        if record.method:
            model = load_model(output / "models" / "flair" / (
                record.method + "_squared" * (record.scoring == "squared")
            ))  # fmt: skip
            assert record.weights_sha256 == model.card.weights_sha256
            assert model.config.scoring.error == {"squared": "squared", "evidence": "tail"}[record.scoring]
    evaluations = {record.contender: record.evaluations_per_slice for record in result.records}
    assert evaluations["Cyclic U-Net"] == 2
    assert evaluations["DAE"] == 1
    assert 4 < evaluations["MMCCD fast"] <= 8  # a comb that hides no brain is left out
    done_counts = [done for _, done, total in told if total == len(names)]
    assert done_counts == sorted(done_counts)
    steps = [(what.strip(), step) for what, step, total in told if total == plan.overrides["training.steps"]]
    assert ("steps of flair: DAE, row 7 of 11", 1) in steps
    assert told[-1][1:] == (len(names), len(names))


def test_the_page_has_every_contender_in_order_of_auprc_and_says_who_is_ahead(done):
    output, result, _ = done
    page = (output / "RESULTS.md").read_text()
    header, *lines = result.table("flair")
    assert header[:3] == ["method", "auprc", "dice"]
    values = [float(line[1].split()[0]) for line in lines]
    assert values == sorted(values, reverse=True)
    for line in lines:
        assert f"| {line[0]} | {line[1]} |" in page
    assert f"{BEST} has AUPRC" in page
    assert "FLAIR: on average at most 0.51 of the brain in healthy slices of subjects like these is marked" in page
    assert "mmccd benchmark" in page
    for name in ("curves_flair.png", "sizes_flair.png", "montage_flair.png"):
        assert (output / name).read_bytes().startswith(b"\x89PNG")
        assert f"({name})" in page
    rows = (output / "results.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * len(result.records)
    assert all(row.endswith(",mmccd benchmark") for row in rows[1:])
    records = json.loads((output / "results.json").read_text())
    assert len(records) == len(result.records)
    assert {record["command"] for record in records} == {"mmccd benchmark"}
    assert str(output) not in json.dumps(records)
    assert read_results(output / "results.json") == [
        record.model_copy(update={"command": "mmccd benchmark"}) for record in result.records
    ]


def test_a_second_run_trains_and_scores_nothing_again(store, plan, done, monkeypatch):
    output, result, _ = done
    monkeypatch.setattr("mmccd.comparison.benchmark.train", None)
    monkeypatch.setattr("mmccd.comparison.benchmark.score_volumes", None)
    again = benchmark(store, output, plan, others={"again": store})
    assert again.table("flair") == result.table("flair")


def test_a_run_that_was_killed_goes_on(store, plan, done, tmp_path, monkeypatch):
    output, result, _ = done
    copy = tmp_path / "out"
    shutil.copytree(output, copy)
    (copy / "scores" / "flair" / "DAE.json").unlink()
    torn = copy / "scores" / "flair" / "Veiled-cycle-best.json"
    assert torn.is_file()
    torn.write_text('{"contender": ')  # as no atomic write leaves it
    monkeypatch.setattr("mmccd.comparison.benchmark.train", None)
    again = benchmark(store, copy, plan, others={"again": store})
    assert again.table("flair") == result.table("flair")


class HealthyTested(Store):
    """A subject without a lesion moves from the training part to the test part."""

    @property
    def index(self):
        table = super().index.copy()
        table.loc[table["subject"] == "Phantom_0005", "split"] = "test"
        return table


def test_a_second_run_writes_the_same_files_where_a_test_subject_is_healthy(
    store, with_parts, plan, tmp_path, monkeypatch
):
    """Intensities alone, which need no training."""
    rows = [contender for contender in contenders() if contender.intensity]
    monkeypatch.setattr(benchmark_module, "contenders", lambda *_, **__: rows)
    train = ["Phantom_0001", "Phantom_0002", "Phantom_0003", "Phantom_0004"]
    tested = with_parts(store, HealthyTested, train=train, test=["Phantom_0005", "Phantom_0007", "Phantom_0008"])

    def written():
        result = benchmark(tested, tmp_path, plan)
        return result, {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    (first, files), (again, files_again) = written(), written()

    assert first == again
    assert files == files_again
    table = list(csv.DictReader(files["results.csv"].decode().splitlines()))
    healthy = [row for row in table if row["subject"] == "Phantom_0005"]
    assert [row["dice"] for row in healthy] == ["nan"] * 3
    assert all(row["healthy_marked"] != "nan" for row in healthy)


def test_a_training_uses_one_device(store, plan, tmp_path, monkeypatch):
    """On several, Lightning would start the whole command again for each."""

    def train(*_, hardware, **__):
        raise InterruptedError(hardware)

    monkeypatch.setattr(benchmark_module, "train", train)
    contender = next(contender for contender in contenders() if contender.method == "dae")
    with pytest.raises(InterruptedError) as caught:
        benchmark_module._model(store, tmp_path, plan, "flair", contender, no_progress)
    assert caught.value.args == (Hardware("auto", devices="1"),)


def test_the_paper_sampler_has_the_weights_of_the_training_and_the_square(done):
    output, _, _ = done
    trained = load_model(output / "models" / "flair" / "mmccd")
    made = with_paper_sampler(trained)
    assert made.method.masks.shape == (128, 64, 64)
    assert made.method.steps[:2] == (990, 980)
    assert made.config.diffusion.schedule_steps == trained.config.diffusion.schedule_steps
    assert made.error is squared_error
    weights = trained.method.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in made.method.state_dict().items())


def test_the_paper_sampler_stands_in_its_own_table_only(store, plan, done, tmp_path, monkeypatch):
    """With one step instead of a hundred, or it would take minutes."""
    monkeypatch.setattr(benchmark_module, "PAPER_SAMPLER", {"masks"})
    output, _, _ = done
    copy = tmp_path / "out"
    shutil.copytree(output, copy)
    result = benchmark(store, copy, replace(plan, methods=("mmccd",), paper_sampler=True), others={"again": store})
    record = result.records[-1]
    assert record.contender == PAPER_SAMPLER
    assert record.rows == []
    assert "rows" not in record.as_json()
    assert record.evaluations_per_slice > 100
    assert [row["case"] for row in record.paper] == ["Phantom_0007", "Phantom_0008"]
    assert PAPER_SAMPLER not in [line[0] for line in result.table("flair")]
    _, _, oracle = (copy / "RESULTS.md").read_text().partition("## The paper's protocol (oracle)")
    assert f"| {PAPER_SAMPLER} |" in oracle
