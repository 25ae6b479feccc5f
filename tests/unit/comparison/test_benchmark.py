import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import mmccd.comparison.benchmark as benchmark_module
from mmccd.comparison.artefacts import ARTEFACTS
from mmccd.comparison.benchmark import Plan, benchmark, training_config
from mmccd.comparison.contenders import BEST, INTENSITIES, PUBLISHED, contenders
from mmccd.comparison.scores import CURVE_RECALLS, Judge, score_artefacts, score_lesion_slices, score_volumes
from mmccd.comparison.tables import _mean, holm, honest_table, paired, verdict, write_results
from mmccd.data.store import Store
from mmccd.errors import ConfigError, DataError
from mmccd.evaluation.intervals import bootstrap_mean
from mmccd.evaluation.metrics import auprc
from mmccd.method.cycle import squared_error
from mmccd.model.config import METHODS, RECONSTRUCTIONS
from mmccd.model.model import load_model
from mmccd.system.progress import no_progress
from mmccd.training.train import Hardware

TINY = {
    "training.steps": 2,
    "training.batch_size": 2,
    "network.channels": [16, 16],
    "network.attention": [False, False],
    "network.head_channels": 16,
    "network.norm_groups": 8,
}


@pytest.fixture(scope="module")
def store(store_of_three):
    return store_of_three


PLAN = Plan(
    methods=("mmccd", "cyclic-unet", "veiled-cycle", "dae"), sources=("flair",), overrides=TINY, published_sampler=False
)


@pytest.fixture(scope="module")
def done(store, tmp_path_factory):
    """A miniature of the whole thing: two training steps, and what is written of it."""
    output = tmp_path_factory.mktemp("benchmark") / "out"
    told = []
    result = benchmark(store, output, PLAN, others={"again": store}, progress=lambda *what: told.append(what))
    return output, result, told


@pytest.mark.parametrize("model", ["mmccd", "mmccd_square"])
def test_a_model_that_an_older_version_left_there_is_refused(store, done, tmp_path, model):
    """It has no relative threshold, and would be no row beside the others."""
    output, _, _ = done
    shutil.copytree(output, tmp_path / "out", ignore=shutil.ignore_patterns("scores"))
    card = tmp_path / "out" / "models" / "flair" / model / "card.json"
    values = json.loads(card.read_text())
    del values["relative_threshold"]
    card.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match="calibrated by an older version, without relative_threshold"):
        benchmark(store, tmp_path / "out", PLAN, others={"again": store})


def test_every_contender_has_a_record_with_all_that_it_came_from(store, done):
    output, result, told = done
    names = [contender.name for contender in contenders(PLAN.methods, published_sampler=False)]
    assert [record["contender"] for record in result.records] == names
    for record in result.records:
        assert record["split_digest"] == store.manifest["split_digest"]
        assert record["seed"] == 0
        assert {row["subject"] for row in record["rows"]} == {"Phantom_0007", "Phantom_0008"}
        assert set(record["artefacts"]) == set(ARTEFACTS)
        assert record["kinds"]["again"][0]["auprc"] == record["rows"][0]["auprc"]
        if record["method"]:
            model = load_model(output / "models" / "flair" / (
                record["method"] + ("_square" if record["scoring"] == "square" else "")
            ))  # fmt: skip
            assert record["weights_sha256"] == model.digest
            assert model.config.scoring.evidence == {"square": "square", "evidence": "tail"}[record["scoring"]]
    evaluations = {record["contender"]: record.get("evaluations_per_slice") for record in result.records}
    assert evaluations["Cyclic U-Net"] == 2
    assert evaluations["DAE"] == 1
    assert 4 < evaluations["MMCCD fast"] <= 8  # a comb that hides no brain is left out
    done_counts = [done for _, done, total in told if total == len(names)]
    assert done_counts == sorted(done_counts)
    steps = [(what.strip(), step) for what, step, total in told if total == TINY["training.steps"]]
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
    assert "MMCCD best has AUPRC" in page
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


def test_results_of_a_version_without_a_column_are_a_table_without_it(done):
    _, result, _ = done
    older = [
        {**record, "rows": [{k: v for k, v in row.items() if k != "relative_dice"} for row in record["rows"]]}
        for record in result.records
    ]
    (usual, *_), (shorter, *lines) = honest_table(result.records), honest_table(older)
    assert set(usual) - set(shorter) == {"relative_dice"}
    assert {len(line) for line in lines} == {len(shorter)}


def test_of_healthy_subjects_the_page_gives_the_share_that_is_marked(store, done, tmp_path):
    _, result, _ = done
    row = {"subject": "a", "lesion_ml": 0.0, "auprc": None, "healthy_marked": 0.125}
    healthy = [{**record, "kinds": {"healthy": [row]}} for record in result.records]
    page = write_results(tmp_path, healthy, store, "mmccd benchmark", ["healthy"]).page.read_text()
    assert page.count("| 0.125 marked |") == len(healthy)


def test_a_second_run_trains_and_scores_nothing_again(store, done, monkeypatch):
    output, result, _ = done
    monkeypatch.setattr("mmccd.comparison.benchmark.train", None)
    monkeypatch.setattr("mmccd.comparison.benchmark.score_volumes", None)
    again = benchmark(store, output, PLAN, others={"again": store})
    assert again.table("flair") == result.table("flair")


def test_a_run_that_was_killed_goes_on(store, done, tmp_path, monkeypatch):
    output, result, _ = done
    copy = tmp_path / "out"
    shutil.copytree(output, copy)
    (copy / "scores" / "flair" / "DAE.json").unlink()
    (copy / "scores" / "flair" / "MMCCD-best.json").write_text('{"contender": ')  # as no atomic write leaves it
    monkeypatch.setattr("mmccd.comparison.benchmark.train", None)
    again = benchmark(store, copy, PLAN, others={"again": store})
    assert again.table("flair") == result.table("flair")


class HealthyTested(Store):
    """A subject without a lesion moves from the training part to the test part."""

    @property
    def index(self):
        table = super().index.copy()
        table.loc[table["subject"] == "Phantom_0005", "split"] = "test"
        return table


def with_parts(store, kind=Store, **parts):
    return kind(store.path, {**store.manifest, "subjects": {**store.manifest["subjects"], **parts}})


def test_a_second_run_writes_the_same_files_where_a_test_subject_is_healthy(store, tmp_path, monkeypatch):
    """Intensities alone, which need no training."""
    rows = [contender for contender in contenders() if contender.intensity]
    monkeypatch.setattr(benchmark_module, "contenders", lambda *_, **__: rows)
    train = ["Phantom_0001", "Phantom_0002", "Phantom_0003", "Phantom_0004"]
    tested = with_parts(store, HealthyTested, train=train, test=["Phantom_0005", "Phantom_0007", "Phantom_0008"])

    def written():
        result = benchmark(tested, tmp_path, PLAN)
        return result, {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    (first, files), (again, files_again) = written(), written()

    assert first == again
    assert files == files_again
    table = list(csv.DictReader(files["results.csv"].decode().splitlines()))
    healthy = [row for row in table if row["subject"] == "Phantom_0005"]
    assert [row["dice"] for row in healthy] == ["nan"] * 3
    assert all(row["healthy_marked"] != "nan" for row in healthy)


def test_a_training_uses_one_device(store, tmp_path, monkeypatch):
    """On several, Lightning would start the whole command again for each."""

    def train(*_, hardware, **__):
        raise InterruptedError(hardware)

    monkeypatch.setattr(benchmark_module, "train", train)
    contender = next(contender for contender in contenders() if contender.method == "dae")
    with pytest.raises(InterruptedError) as caught:
        benchmark_module._model(store, tmp_path, PLAN, "flair", contender, no_progress)
    assert caught.value.args == (Hardware("auto", devices="1"),)


def test_the_published_sampler_has_the_weights_of_the_training_and_the_square(done):
    output, _, _ = done
    trained = load_model(output / "models" / "flair" / "mmccd")
    made = benchmark_module._with_published_sampler(trained)
    assert len(made.method.masks_for(64)) == 128
    assert made.method.steps[:2] == (990, 980)
    assert made.config.diffusion.schedule_steps == trained.config.diffusion.schedule_steps
    assert made.error is squared_error
    weights = trained.method.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in made.method.state_dict().items())


def test_the_published_sampler_stands_in_its_own_table_only(store, done, tmp_path, monkeypatch):
    """With one step instead of a hundred, or it would take minutes."""
    monkeypatch.setattr(benchmark_module, "PUBLISHED_SAMPLER", {"masks"})
    output, _, _ = done
    copy = tmp_path / "out"
    shutil.copytree(output, copy)
    result = benchmark(store, copy, replace(PLAN, methods=("mmccd",), published_sampler=True), others={"again": store})
    record = result.records[-1]
    assert record["contender"] == PUBLISHED
    assert "rows" not in record
    assert record["evaluations_per_slice"] > 100
    assert [row["case"] for row in record["published"]] == ["Phantom_0007", "Phantom_0008"]
    assert PUBLISHED not in [line[0] for line in result.table("flair")]
    _, _, oracle = (copy / "RESULTS.md").read_text().partition("## Published protocol")
    assert f"| {PUBLISHED} |" in oracle


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": "huge"}, "size is 'huge', expected one of small, full"),
        ({"size": "full"}, "the store has slices of 64 px, size full compares at 128 px"),
        ({"sources": ("swi",)}, "the store has no modality 'swi', it has flair, t1, t2"),
        ({"methods": ("magic",)}, "unknown methods magic"),
        ({"methods": ()}, "methods are none"),
        ({"overrides": TINY | {"scoring.smooth_mm": 5}}, "scoring.smooth_mm is 5.0, allowed are up to 4"),
        (
            {"overrides": TINY | {"diffusion.train_on": "sampling-steps"}, "published_sampler": True},
            "the published sampler visits steps that this never trains",
        ),
        ({"sources": ()}, "sources are none"),
        ({"methods": ("dae", "dae")}, "methods are dae, dae"),
        ({"overrides": TINY | {"scoring.edge_mm": 7.5}}, "scoring.edge_mm is 7.5 .* need 0"),
        ({"overrides": TINY | {"scoring": {"edge_mm": 7.5}}}, "scoring.edge_mm is 7.5 .* need 0"),
        ({"overrides": TINY | {"scoring": {"edge_mm": 0}}}, "scoring.evidence is 'square'"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_before_anything_is_written(store, tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        benchmark(store, tmp_path / "out", replace(PLAN, **change))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tested", ["sub-1_ses-2", "sub-3"])
def test_a_patient_that_was_trained_or_calibrated_on_is_not_tested(store, tmp_path, tested):
    seen = with_parts(store, train=["sub-1_ses-1", "sub-2"], validation=["sub-3"], test=["sub-4"])
    leaking = with_parts(seen, test=[tested, "sub-4"])
    patient = tested.partition("_")[0]
    with pytest.raises(DataError, match=f"the store tests {patient}, a patient that the store trains"):
        benchmark(leaking, tmp_path / "out", PLAN)
    with pytest.raises(DataError, match=f"more tests {patient}, a patient that the store trains"):
        benchmark(seen, tmp_path / "out", PLAN, others={"more": leaking})
    benchmark_module._check(seen, PLAN, {"more": seen})
    assert not (tmp_path / "out").exists()


def test_tuples_in_the_settings_are_those_of_the_file(store, tmp_path):
    plan = replace(PLAN, overrides=TINY | {"network.channels": (16, 16)})
    for _ in range(2):
        benchmark_module._claim(tmp_path, store, plan, {})
    with pytest.raises(ConfigError, match="another overrides"):
        benchmark_module._claim(tmp_path, store, replace(PLAN, overrides={"network.channels": (16, 32)}), {})


@pytest.mark.parametrize("change", [{"seed": 1}, {"overrides": TINY | {"training.steps": 3}}, {"artefacts": False}])
def test_numbers_of_two_plans_are_never_mixed_in_one_folder(store, done, change):
    output, _, _ = done
    with pytest.raises(ConfigError, match=r"holds a benchmark with another (seed|overrides|artefacts)"):
        benchmark(store, output, replace(PLAN, **change), others={"again": store})


def test_all_methods_train_alike_but_for_their_targets(store):
    configs = {method: training_config(PLAN, store, "t2", method) for method in METHODS}
    assert len({config.training for config in configs.values()}) == 1
    assert len({config.scoring for config in configs.values()}) == 1
    assert len({config.network for config in configs.values()}) == 1
    assert configs["mmccd"].targets == configs["cyclic-unet"].targets == ("flair",)
    assert configs["veiled-cycle"].targets == ("flair", "t1")
    assert all(configs[name].targets == () for name in RECONSTRUCTIONS)


def test_the_list_of_contenders():
    names = [contender.name for contender in contenders()]
    assert len(names) == len(set(names)) == len(INTENSITIES) + 2 * len(METHODS) + 1
    assert {BEST, "MMCCD fast", PUBLISHED, "AnoDDPM", "AnoDDPM, evidence"} <= set(names)
    assert PUBLISHED not in [contender.name for contender in contenders(published_sampler=False)]
    assert len({contender.file_name for contender in contenders()}) == len(names)


# --- scores ---


def perfect(store):
    """A scorer that knows the answer: it finds the scan among those of the test part."""
    rows = store.rows("test")
    source, lesion = store.array("flair"), store.array("lesion")
    known = {np.asarray(source[i]).tobytes(): np.asarray(lesion[i]) for i in rows}

    def score(slices, brain, slice_mm):
        return np.array([known[one.astype(np.float16).tobytes()] for one in slices], np.float32)

    return Judge(score, threshold=0.5, scan_threshold=0.5, relative_threshold=0.5, healthy_scores=(0.0,) * 9)


def test_a_perfect_score_is_perfect_in_every_metric(store):
    found = score_volumes(perfect(store), store, "flair")
    for row in found["rows"]:
        assert row["auprc"] == row["lesion_f1"] == 1
        assert row["dice"] == row["oracle_dice"] == row["scan_dice"] == row["relative_dice"] > 0.99
        assert row["healthy_marked"] == row["healthy_alarm"] == row["relative_healthy_marked"] == 0
        assert row["lesion_ml"] > 0.1
    assert found["precision_at_recalls"] == [1.0] * len(CURVE_RECALLS)
    assert [piece.case for piece in found["slices"]] == ["Phantom_0007", "Phantom_0008"]


def test_a_map_that_is_lifted_as_a_whole_needs_a_relative_threshold(store):
    judge = perfect(store)
    lifted = replace(judge, score=lambda *args: judge.score(*args) + 3)
    rows = (score_volumes(one, store, "flair")["rows"] for one in (lifted, judge))
    for row, usual in zip(*rows, strict=True):
        assert row["dice"] < 0.5 < row["relative_dice"] == usual["dice"]
        assert row["healthy_marked"] == 1
        assert row["relative_healthy_marked"] == 0


def test_a_score_of_nothing_finds_nothing(store):
    nothing = Judge(lambda slices, brain, mm: np.zeros_like(slices), 0.5, 0.5, 0.5, (0.0,) * 9)
    for row in score_volumes(nothing, store, "flair")["rows"]:
        assert row["dice"] == row["lesion_f1"] == row["healthy_marked"] == 0
        assert row["p_value"] == 1
        assert row["auprc"] < 0.2


def test_the_slices_of_the_published_protocol_are_those_with_most_lesion(store):
    judge = perfect(store)
    volumes = score_volumes(judge, store, "flair")["slices"]
    slices = score_lesion_slices(judge.score, store, "flair")["slices"]
    for one, other in zip(volumes, slices, strict=True):
        assert (one.case, one.z) == (other.case, other.z)
        table = store.index[store.index["subject"] == one.case]
        assert one.z == table["slice"][table["lesion_px"].idxmax()]
        assert all(array.base is None for piece in (one, other) for array in (piece.score, piece.brain, piece.lesion))
        np.testing.assert_array_equal(one.score, other.score)
        assert auprc(one.score[one.brain], one.lesion[one.brain]) == 1


def test_artefacts_are_told_from_clean_slices_by_what_they_change(store):
    """The block of lost signal is what darkness finds; nothing tells apart what is never looked at."""

    def darkest(slices, brain, slice_mm):
        return np.where(brain, -slices, 0)

    found = score_artefacts(darkest, store, "flair", "t2", seed=0)
    assert found["missing block"] > 0.9
    constant = score_artefacts(lambda slices, brain, mm: np.zeros_like(slices), store, "flair", "t2", seed=0)
    assert set(constant.values()) == {0.5}


# --- comparisons ---


def record(name, values):
    return {"contender": name, "rows": [{"subject": str(i), "auprc": value} for i, value in enumerate(values)]}


def test_the_verdict_names_who_is_ahead_and_whom_nothing_tells_apart():
    ours = np.linspace(0.4, 0.6, 20)
    wobble = np.tile([0.01, -0.0101], 10)
    named = {
        BEST: record(BEST, ours),
        "better": record("better", ours + 0.1),
        "worse": record("worse", ours - 0.1),
        "level": record("level", ours + wobble),
    }
    text = verdict(named, BEST)
    assert text == (
        "MMCCD best has AUPRC 0.500; 1 of 3 are behind it; ahead of it: better (+0.100); "
        "the interval of the difference holds 0 for level (-0.000)."
    )
    assert "none is ahead of it" in verdict({name: named[name] for name in (BEST, "worse")}, BEST)
    assert verdict(named, "better").startswith("better has AUPRC 0.600; 3 of 3 are behind it; none is ahead of it.")


def test_of_a_single_subject_the_verdict_says_that_it_cannot_tell():
    named = {BEST: record(BEST, [0.5, None]), "better": record("better", [0.6, None])}
    assert verdict(named, BEST) == "MMCCD best has AUPRC 0.500; too few subjects to compare it with better."


def test_sessions_of_a_patient_are_one_difference():
    """The patient with three sessions outweighs nobody."""

    def of(values):
        names = ["sub-1_ses-1", "sub-1_ses-2", "sub-1_ses-3", "sub-2", "sub-3"]
        rows = [{"subject": name, "auprc": value} for name, value in zip(names, values, strict=True)]
        return {"contender": "any", "method": "dae", "scoring": "square", "source": "flair", "rows": rows}

    ours, theirs = of([0.75, 0.75, None, 0.25, 0.5]), of([0.5, 0.25, 0.1, 0.0, 0.0])  # exact in binary
    by_hand = paired(record("a", [0.375, 0.25, 0.5]), record("b", [0, 0, 0]), "auprc")
    assert paired(ours, theirs, "auprc") == by_hand
    assert _mean(ours, "auprc") == bootstrap_mean([0.75, 0.25, 0.5])


def test_paired_differences_leave_out_what_is_undefined():
    interval, p = paired(record("a", [0.5, 0.6, None]), record("b", [0.4, 0.5, 0.9]), "auprc")
    assert interval.mean == pytest.approx(0.1)
    assert (interval.n, interval.undefined) == (2, 1)
    assert 0 < p <= 1
    assert np.isnan(paired(record("a", [0.5, 0.6]), record("a", [0.5, 0.6]), "auprc")[1])


def test_holm():
    assert holm([0.01, 0.04, float("nan"), 0.03]) == pytest.approx([0.03, 0.06, float("nan"), 0.06], nan_ok=True)
    assert holm([0.9, 0.8]) == [1, 1]
