"""One miniature benchmark, run once and shared; what is shared is read only."""

import pytest


@pytest.fixture(scope="session")
def store(store_of_three):
    return store_of_three


@pytest.fixture(scope="session")
def plan(toy_settings):
    """Two training steps of four methods."""
    from mmccd.comparison.plan import Plan

    own = {"method", "training.validate_every"}  # a plan has its methods
    overrides = {name: value for name, value in toy_settings.items() if name not in own}
    overrides |= {"training.steps": 2, "training.batch_size": 2, "network.residual_blocks": 1, "network.patch_px": 4}
    methods = ("mmccd", "cyclic-unet", "veiled-cycle", "dae")
    return Plan(methods=methods, sources=("flair",), overrides=overrides, paper_sampler=False)


@pytest.fixture(scope="session")
def done(store, plan, tmp_path_factory):
    """A miniature of the whole thing, and what it told: its folder, its result, its progress."""
    from mmccd.comparison.benchmark import benchmark

    output = tmp_path_factory.mktemp("benchmark") / "out"
    told = []
    result = benchmark(store, output, plan, others={"again": store}, progress=lambda *what: told.append(what))
    return output, result, told


@pytest.fixture(scope="session")
def with_parts():
    """A function that gives a store other subjects in some of its parts."""
    from mmccd.data.store import Store

    def change(store, kind=Store, **parts):
        subjects = {**store.manifest.subjects, **parts}
        return kind(store.path, store.manifest.model_copy(update={"subjects": subjects}))

    return change


@pytest.fixture(scope="session")
def judge_of():
    """A function that makes a judge of any function of (slices, brain), with all thresholds at one value."""
    from mmccd.comparison.judge import Judge
    from mmccd.scoring.thresholds import LEVEL, Threshold, Thresholds

    class Scorer:
        def __init__(self, score):
            self.score = score

        def anomaly_map(self, slices, brain, spacing_mm, *, healthy=None):
            (image,) = slices.values()
            return self.score(image, brain)

    def make(score, threshold=0.5):
        plain = Threshold(threshold, "none", "nothing")
        relative = Threshold(threshold, "none", "nothing", added_to=LEVEL)
        return Judge(Scorer(score), Thresholds(plain, plain, relative, healthy_scores=(0.0,) * 9))

    return make


@pytest.fixture(scope="session")
def perfect(store, judge_of):
    """A judge that knows the answer: it finds the scan among those of the test part."""
    import numpy as np

    source, lesion = store.array("flair"), store.array("lesion")
    known = {np.asarray(source[i]).tobytes(): np.asarray(lesion[i]) for i in store.rows("test")}
    return judge_of(
        lambda image, brain: np.array([known[one.astype(np.float16).tobytes()] for one in image], np.float32)
    )


@pytest.fixture(scope="session")
def record_of():
    """A function that makes the record of a contender from the AUPRC of its subjects."""
    from mmccd.comparison.record import BenchmarkRecord

    def make(name, values, subjects=None):
        subjects = subjects or map(str, range(len(values)))
        rows = [{"subject": subject, "auprc": value} for subject, value in zip(subjects, values, strict=True)]
        return BenchmarkRecord(contender=name, method="dae", scoring="squared", source="flair", rows=rows)

    return make
