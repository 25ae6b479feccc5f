import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmccd.data.cohort import Cohort, Subject
from mmccd.data.splits import (
    Split,
    digest,
    find_split,
    patient_of,
    patients_in_two_parts,
    read_split_csv,
    read_split_lists,
    restrict,
    seeded_split,
    split_of_cohort,
    with_validation_from_train,
)
from mmccd.errors import ConfigError, DataError, MmccdWarning

DATA = Path(os.environ.get("MMCCD_DATA", Path(__file__).parents[4] / "shared" / "data"))
IDS = st.lists(st.text("abcdefgh0123456789", min_size=1, max_size=6), min_size=1, max_size=40, unique=True)
FRACTIONS = st.tuples(*[st.integers(0, 10)] * 3).filter(any).map(lambda parts: tuple(p / sum(parts) for p in parts))


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"no real scans: set MMCCD_DATA (looked in {DATA})")
    return DATA


def parts(split: Split) -> tuple[tuple[str, ...], ...]:
    return split.train, split.validation, split.test


@given(ids=IDS, fractions=FRACTIONS, seed=st.integers(0, 99), data=st.data())
def test_seeded_split_is_disjoint_complete_and_free_of_order(ids, fractions, seed, data):
    split = seeded_split(ids, fractions, seed)
    assert sorted(sum(parts(split), ())) == sorted(ids)
    assert split == seeded_split(data.draw(st.permutations(ids)), fractions, seed)
    wanted = sum(fraction > 0 for fraction in fractions)
    assert sum(bool(part) for part in parts(split)) == min(wanted, len(ids))
    assert not any(part for part, fraction in zip(parts(split), fractions, strict=True) if fraction == 0)


def test_seeded_split_has_the_asked_sizes_and_follows_the_seed():
    ids = [f"S{i}" for i in range(100)]
    assert [len(part) for part in parts(seeded_split(ids))] == [70, 10, 20]
    assert seeded_split(ids, seed=1) != seeded_split(ids, seed=2)
    assert digest(seeded_split(ids, seed=1)) != digest(seeded_split(ids, seed=2))
    assert digest(seeded_split(ids)) == digest(seeded_split(reversed(ids)))


def test_seeded_split_of_known_ids_never_changes():
    assert seeded_split("abcdefghij", (0.6, 0.2, 0.2), seed=7) == Split(
        train=tuple("acdefj"), validation=tuple("gh"), test=tuple("bi")
    )


def test_sessions_of_one_patient_stay_together():
    ids = [f"BraTS-GLI-{patient:05d}-{time:03d}" for patient in range(20) for time in range(3)]
    ids += [f"sub-{patient}_ses-{time}" for patient in range(20) for time in range(3)]
    split = seeded_split(ids, (0.5, 0.2, 0.3))
    assert patients_in_two_parts(split) == ()
    assert patients_in_two_parts(with_validation_from_train(Split(train=split.train), 0.3)) == ()
    leaking = Split(train=("sub-1_ses-1",), test=("sub-1_ses-2", "sub-2_ses-1"))
    assert patients_in_two_parts(leaking) == ("sub-1",)
    assert patient_of("Brats18_2013_2_1") == "Brats18_2013_2_1"


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.6, -0.1), (0.5, 0.2, 0.2), (float("nan"), 0.5, 0.5)])
def test_impossible_fractions_are_refused(fractions):
    with pytest.raises(ConfigError, match="allowed: three numbers from 0 that sum to 1"):
        seeded_split(["a", "b"], fractions)


def test_repeated_or_no_ids_are_refused():
    with pytest.raises(DataError, match="subject a is repeated"):
        seeded_split(["a", "b", "a"])
    with pytest.raises(DataError, match="there is no subject"):
        seeded_split([])


def test_overlap_is_refused_by_name():
    with pytest.raises(DataError, match="subject c is in both train and test"):
        Split(train=("a", "c"), test=("c", "d"))
    with pytest.raises(DataError, match="subjects a, b, c and 2 more are in both validation and test"):
        Split(validation=tuple("abcde"), test=tuple("edcba"))


def test_parts_are_sorted():
    assert Split(train=("b", "a")).train == ("a", "b")


def test_csv_accepts_the_usual_names(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("source,split,subject\nx,Training,a\nx,val,b\nx,testing,c\nx,valid,d\n")
    assert read_split_csv(path) == Split(("a",), ("b", "d"), ("c",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,part\na,train\n", "has no column split"),
        ("subject,split\na,holdout\n", "puts subject 'a' in the part 'holdout'"),
        ("subject,split\n,train\n", "puts subject '' in the part 'train'"),
        ("subject,split\na,train\na,test\n", "subject a is in both train and test"),
    ],
)
def test_malformed_split_csv_is_refused(tmp_path, text, message):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_split_csv(tmp_path / "split.csv")


def test_lists_skip_comments_and_empty_lines(tmp_path):
    (tmp_path / "train.txt").write_text("# mine\nb\r\n\n a \n")
    assert read_split_lists(tmp_path / "train.txt") == Split(train=("a", "b"))
    with pytest.raises(ConfigError, match="no split list"):
        read_split_lists()
    with pytest.raises(DataError, match="cannot be read"):
        read_split_lists(tmp_path / "gone.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="names no subject"):
        read_split_lists(test=tmp_path / "empty.txt")


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_list_of_one_part_is_enough(tmp_path, part):
    """For `mmccd calibrate`, say, a site has validation subjects only."""
    (tmp_path / "a.txt").write_text("a\nb\n")
    cohort = Cohort(tmp_path, "csv", tuple(Subject(name, {}) for name in "abc"), {})
    assert find_split(cohort, lists={part: tmp_path / "a.txt"}) == (Split(**{part: ("a", "b")}), "a.txt")


def test_subjects_of_a_list_that_are_not_in_the_cohort_are_mentioned(tmp_path):
    (tmp_path / "a.txt").write_text("a\nb\nhurt\nS1\nS2\nS3\nS4\n")
    cohort = Cohort(tmp_path, "csv", tuple(Subject(name, {}) for name in "abc"), {"hurt": "left out"})
    text = r"4 of 7 subjects of the split \(a.txt\) are not in the cohort: S1, S2, S3 and 1 more; check that their ids"
    with pytest.warns(MmccdWarning, match=text):
        split, _ = find_split(cohort, lists={"test": tmp_path / "a.txt"})
    assert split.test == ("a", "b", "hurt")


def test_validation_is_taken_from_training_only():
    split = Split(train=tuple(f"S{i:02d}" for i in range(30)), test=("T1",))
    more = with_validation_from_train(split, 0.1, seed=3)
    assert (len(more.train), len(more.validation), more.test) == (27, 3, ("T1",))
    assert with_validation_from_train(Split(train=("a", "b")), 0.01).validation
    assert with_validation_from_train(Split(train=("a", "b")), 0.99).train


def test_validation_that_cannot_be_taken_is_refused():
    with pytest.raises(ConfigError, match="validation fraction is 1"):
        with_validation_from_train(Split(train=("a", "b")), 1)
    with pytest.raises(DataError, match="has a validation part of 1 already"):
        with_validation_from_train(Split(("a", "b"), ("c",)), 0.5)
    with pytest.raises(DataError, match="has 1 training patients"):
        with_validation_from_train(Split(train=("a",)), 0.5)


def test_restrict_tells_who_is_in_no_part():
    split = Split(("a", "b"), ("c",), ("d",))
    assert restrict(split, ["d", "a", "x"]) == (Split(("a",), (), ("d",)), ("x",))


def test_split_of_cohort():
    def cohort(*stated: str | None) -> Cohort:
        return Cohort(Path(), "csv", tuple(Subject(f"S{i}", {}, split=part) for i, part in enumerate(stated)), {})

    assert split_of_cohort(cohort("train", None, "test")) == Split(("S0",), (), ("S2",))
    assert split_of_cohort(cohort(None, None)) is None


def test_published_lists_and_our_split(data):
    published = read_split_lists(data / "brats2021_split_train.txt", test=data / "brats2021_split_test.txt")
    assert [len(part) for part in parts(published)] == [974, 0, 139]
    assert [len(part) for part in parts(with_validation_from_train(published, 0.1))] == [877, 97, 139]
    assert [len(part) for part in parts(read_split_csv(data / "brats128" / "split.csv"))] == [28, 4, 13]


def test_a_store_has_its_split(phantom_store):
    assert read_split_csv(phantom_store.path).test == tuple(phantom_store.manifest.subjects["test"])
