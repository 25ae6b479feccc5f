"""What chance does to a file: flipped bytes, random bytes, random headers, random folders and tables."""

import random
from pathlib import Path

import nibabel as nib
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_inputs import VOXELS, good, raw

from mmccd.data.cohort import read_cohort
from mmccd.data.volumes import read_volume, write_volume
from mmccd.errors import DataError, MmccdError

RELAXED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def refusal(error):
    """None, after a look at whether the complaint has a remedy."""
    assert error.hint
    assert error.message


def reading(path):
    """All that a result depends on, or None where the file is refused."""
    try:
        volume = read_volume(path)
    except DataError as error:
        return refusal(error)
    assert np.isfinite(volume.data).all()
    assert np.isfinite(volume.affine).all()
    return volume.data.tobytes(), volume.affine.tobytes(), volume.header.binaryblock


def test_one_changed_byte_of_a_compressed_file_never_changes_what_is_read(tmp_path):
    flips = 2000
    path = tmp_path / "scan.nii.gz"
    content = good()
    path.write_bytes(content)
    expected = reading(path)
    rng = random.Random(flips)
    refused = 0
    # All of gzip's header and trailer, then anywhere.
    places = [*range(18), *range(len(content) - 8, len(content))]
    places += [rng.randrange(len(content)) for _ in range(flips - len(places))]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= rng.randrange(1, 256)
        path.write_bytes(damaged)
        found = reading(path)
        assert found is None or found == expected, place
        refused += found is None
    assert refused > 0.9 * flips


@RELAXED
@given(st.binary(max_size=2000), st.sampled_from((".nii", ".nii.gz")), st.booleans())
def test_random_bytes_are_no_scan(tmp_path, content, suffix, like_a_header):
    path = tmp_path / f"a{suffix}"
    path.write_bytes((b"\x5c\x01\x00\x00" if like_a_header else b"") + content)
    reading(path)


@settings(RELAXED, max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 539), st.integers(0, 255)), min_size=1, max_size=6),
    st.sampled_from((nib.Nifti1Image, nib.Nifti2Image)),
    st.sampled_from("<>"),
)
def test_a_header_with_random_bytes_is_refused_or_read_as_something_finite(tmp_path, changes, kind, order):
    content = bytearray(raw(VOXELS[::2, ::2, ::2], kind=kind, order=order))
    for place, value in changes:
        content[place] = value
    path = tmp_path / "a.nii"
    path.write_bytes(content)
    if reading(path):
        volume = read_volume(path)
        assert 0 < volume.data.size <= len(content)
        write_volume(tmp_path / "b.nii", volume.data, volume)
        assert np.array_equal(read_volume(tmp_path / "b.nii").data, volume.data)


NUMBERS = st.one_of(st.floats(width=32), st.sampled_from((0.0, -1.0, 1e-30, 1e30, np.nan, np.inf)))
FIELDS = ("scl_slope", "scl_inter", "vox_offset", "pixdim__1", "pixdim__2", "quatern_b", "qoffset_x", "srow_x__0",
          "srow_y__1", "srow_z__3")  # fmt: skip
CODES = (
    "sform_code",
    "qform_code",
    "xyzt_units",
    "datatype",
    "bitpix",
    "dim__0",
    "dim__1",
    "dim__2",
    "dim__3",
    "dim__4",
)


@settings(RELAXED, max_examples=300)
@given(
    st.dictionaries(st.sampled_from(FIELDS), NUMBERS, max_size=4),
    st.dictionaries(st.sampled_from(CODES), st.integers(0, 127), max_size=3),
)
def test_a_header_with_random_values_is_refused_or_read_as_something_finite(tmp_path, numbers, codes):
    with np.errstate(over="ignore"):
        content = raw(VOXELS[::2, ::2, ::2], **numbers, **codes)
    (tmp_path / "a.nii").write_bytes(content)
    reading(tmp_path / "a.nii")


TEXT = st.text(st.characters(exclude_characters="\0"), max_size=30)
WORDS = st.sampled_from(
    ("subject", "flair", "t1", "lesion", "split", "train", "a.nii.gz", "b.nii.gz", "", '"', "A", "a")
)
CELLS = st.one_of(WORDS, TEXT)


@settings(RELAXED, max_examples=200)
@given(st.lists(st.lists(CELLS, max_size=4), max_size=5), st.sampled_from(",;\t"), st.binary(max_size=3), TEXT)
def test_a_random_table_is_refused_or_a_cohort(tmp_path, rows, comma, start, end):
    for name in ("a.nii.gz", "b.nii.gz"):
        (tmp_path / name).touch()
    text = "\n".join([f"subject{comma}flair", *(comma.join(row) for row in rows), end])
    path = tmp_path / ("c.tsv" if comma == "\t" else "c.csv")
    path.write_bytes(start + text.encode(errors="surrogatepass"))
    cohort_or_complaint(path)


NAMES = st.one_of(
    st.sampled_from(
        ("sub-1", "anat", "ses-1", "P_1", "imagesTr", "derivatives", "A", "a", "mask", "flair", "\udcff", "a\nb")
    ),
    st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=12),
)
ENDS = st.sampled_from(("_flair", "_T1w", "_FLAIR", "flair", "-t2f", "_seg", "_brain_mask", "_label-L_mask", ""))


@settings(RELAXED, max_examples=150)
@given(st.lists(st.tuples(st.lists(NAMES, max_size=3), NAMES, ENDS), max_size=6), st.binary(max_size=20))
def test_a_random_tree_is_refused_or_a_cohort(tmp_path_factory, places, dataset):
    root = tmp_path_factory.mktemp("tree")
    for folders, name, end in places:
        folder = Path(root, *(part for part in folders if part not in (".", "..")))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}{end}.nii.gz").touch()
        except OSError:  # a folder where a file is, or the other way round
            continue
    (root / "dataset.json").write_bytes(dataset)
    cohort_or_complaint(root)


def cohort_or_complaint(path):
    try:
        cohort = read_cohort(path)
    except MmccdError as error:
        refusal(error)
        return
    for subject in cohort.subjects:
        assert subject.images
        assert subject.id.isprintable()
        assert all(image.path.is_file() for image in subject.images.values())
    assert all(name.isprintable() and problem.what and problem.hint for name, problem in cohort.problems.items())
    assert not {subject.id for subject in cohort.subjects} & cohort.problems.keys()
