"""Every kind of damaged or odd input that the project has a rule for: how to make one, and what must come of it.

The tests beside this file read them all, and docs/reference/input.md is written from them. `refused` is a part of the complaint; without
it the input is read, and read correctly. `healthy` names an input that differs in little and passes, so that a rule which
refuses everything is found out.
"""

import gzip
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (24, 22, 18)
SPACING = (7.1, 7.3, 8.1)  # no pixel is covered to exactly a half, where rounding decides
AFFINE = np.diag([*SPACING, 1.0])
AFFINE[:3, 3] = (-80, -90, -60)
_OFFSETS = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij"), axis=-1) * SPACING
BRAIN = (_OFFSETS**2).sum(axis=-1) < 65**2
VOXELS = np.where(BRAIN, np.random.default_rng(0).integers(40, 200, SHAPE), 0)
LESION = (np.abs(_OFFSETS - (20, 10, 5)) < 16).all(axis=-1)


@dataclass(frozen=True)
class Odd:
    """One input.

    Attributes:
        name: Unique in its list; also the name of its file.
        what: For docs/reference/input.md.
        make: Writes it to a path.
        refused: Part of the complaint, or empty where it is read.
        healthy: Name of a like input in the same list that is read.
        warned: Part of a warning that comes with what is read, or empty.
        voxels: What is read, in RAS+.
        suffix: Of the file.
        stem: Of the file, where its name is what is odd.
    """

    name: str
    what: str
    make: Callable[[Path], object]
    refused: str = ""
    healthy: str = "plain"
    warned: str = ""
    voxels: np.ndarray | None = None
    suffix: str = ".nii.gz"
    stem: str = ""

    def path(self, folder: Path) -> Path:
        return folder / f"{self.stem or self.name}{self.suffix}"


# --- one file ---


def raw(voxels=VOXELS, dtype=np.int16, affine=AFFINE, kind=nib.Nifti1Image, order="<", edit=None, **fields) -> bytes:
    """A file without compression, whose header fields are set as they are."""
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    image = kind(np.asarray(voxels).astype(dtype), affine, header)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm")
    if edit:
        edit(image.header)
    content = bytearray(image.to_bytes())
    header = kind.header_class(bytes(content[: image.header.sizeof_hdr]), check=False)
    for key, value in fields.items():
        name, _, index = key.partition("__")
        if index:
            header[name][int(index)] = value
        else:
            header[name] = value
    content[: image.header.sizeof_hdr] = header.binaryblock
    return bytes(content)


def saved(*args, **fields):
    return lambda path: path.write_bytes(gzip.compress(raw(*args, **fields), mtime=0))


def content(make):
    return lambda path: path.write_bytes(make())


def good() -> bytes:
    return gzip.compress(raw(), mtime=0)


def cut(percent):
    return content(lambda: good()[: len(good()) * percent // 100])


def changed(position, bits):
    def make():
        damaged = bytearray(good())
        damaged[position] ^= bits
        return bytes(damaged)

    return content(make)


def colour():
    return np.ones(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])


def rgb(path):
    nib.save(nib.Nifti1Image(colour(), AFFINE), path)


def reoriented(*axes):
    return lambda path: nib.save(nib.Nifti1Image.from_bytes(raw()).as_reoriented(axes), path)


def extended(header):
    header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 5000))


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("scan.nii", raw())


def pair(path):
    nib.save(nib.Nifti1Pair(VOXELS.astype(np.int16), AFFINE), path)


def analyze() -> bytes:
    header = nib.AnalyzeHeader()
    header.set_data_dtype(np.int16)
    header.set_data_shape(SHAPE)
    return header.binaryblock + VOXELS.astype(np.int16).tobytes(order="F")


def holed(value, dtype=np.float32):
    voxels = VOXELS.astype(dtype)
    voxels[12, 11, 9] = value
    return voxels


def scores():
    inside = VOXELS[BRAIN]
    return np.where(BRAIN, (VOXELS - inside.mean()) / inside.std(), 0)


def ringing():
    voxels = VOXELS.astype(np.float32)
    voxels[0, 0, ::2] = -0.01
    return voxels


def no_sform(**fields):
    return saved(sform_code=0, **fields)


CUT, NOT_NIFTI = "cannot be read in full", "is not a valid NIfTI file"
BLOCK = np.arange(1, 9).reshape(2, 2, 2)
THIN = np.diag([1.0, 1.0, 5.0, 1.0])

SCANS = [
    Odd("plain", "a scan as it should be", content(good)),
    # the file
    Odd("cut_10", "compressed, cut at 10 %", cut(10), CUT),
    Odd("cut_50", "cut at 50 %", cut(50), CUT),
    Odd("cut_99", "cut at 99 %", cut(99), CUT),
    Odd("raw_cut", "not compressed, cut", content(lambda: raw()[:-1]), CUT, "raw", suffix=".nii"),
    Odd("flipped", "compressed, one byte changed", changed(2000, 0x40), CUT),
    Odd("checksum", "a wrong checksum", changed(-8, 1), CUT),
    Odd("no_trailer", "without its checksum", content(lambda: good()[:-8]), CUT),
    Odd("garbage_behind", "with something else behind it", content(lambda: good() + b"garbage"), CUT, "zeros_behind"),
    Odd("zeros_behind", "padded with zeros", content(lambda: good() + bytes(512))),
    Odd("members", "compressed in several pieces", content(lambda: gzip.compress(raw()[:999]) + gzip.compress(raw()[999:]))),
    Odd("raw", "not compressed", content(raw), suffix=".nii"),
    Odd("raw_named_gz", "not compressed, but named .nii.gz", content(raw)),
    Odd("gz_named_nii", "compressed, but named .nii", content(good), suffix=".nii"),
    Odd("capitals", "named .NII.GZ", content(good), suffix=".NII.GZ"),
    Odd("too_long", "longer than its header claims", content(lambda: gzip.compress(raw() + bytes(9999))), "holds more than its header claims", "zeros_inside"),
    Odd("zeros_inside", "padded before it was compressed", content(lambda: gzip.compress(raw() + bytes(512)))),
    Odd("empty", "empty", content(bytes), "is empty"),
    Odd("text", "text", content(lambda: b"subject,flair\n"), NOT_NIFTI),
    Odd("html", "a web page", content(lambda: b"\n<!DOCTYPE html><html>404 Not Found</html>"), "it is a web page"),
    Odd("lfs", "a pointer of Git LFS", content(lambda: b"version https://git-lfs.github.com/spec/v1\n"), "it is a pointer of Git LFS"),
    Odd("annex", "a pointer of git-annex", content(lambda: b"/annex/objects/MD5E-s1--0.nii.gz\n"), "it is a pointer of git-annex"),
    Odd("dicom", "a DICOM file", content(lambda: bytes(128) + b"DICM" + bytes(400)), "it is a DICOM file"),
    Odd("zip", "a zip archive", zipped, "it is a zip archive"),
    Odd("nrrd", "NRRD", content(lambda: b"NRRD0004\ntype: short\n"), "it is in the NRRD format"),
    Odd("minc", "HDF5 or MINC", content(lambda: b"\x89HDF\r\n\x1a\n"), "it is in the HDF5 or MINC format"),
    Odd("analyze", "an Analyze header", content(analyze), NOT_NIFTI),
    Odd("bad_magic", "a header with another magic", saved(magic=b"xyz"), NOT_NIFTI),
    Odd("half_a_pair", "the header of a .hdr/.img pair", saved(magic=b"ni1"), "is only the header of an image"),
    Odd("pair", "a .hdr file", pair, "is not a NIfTI file", suffix=".hdr"),
    Odd("folder", "a folder named like a scan", Path.mkdir, "is not a NIfTI file"),
    Odd("pipe", "a named pipe", os.mkfifo, "is not a NIfTI file"),
    Odd("nowhere", "a link that leads nowhere", lambda path: path.symlink_to("gone.nii.gz"), "does not exist", "linked"),
    Odd("loop", "a link to itself", lambda path: path.symlink_to(path.name), "does not exist", "linked"),
    Odd("linked", "a link to a scan", lambda path: (content(good)(path.with_name(".linked")), path.symlink_to(".linked"))),
    # the header: size
    Odd("dim_zero", "a side of 0", saved(dim__2=0), "so it has no voxel"),
    Odd("dim_negative", "a side of -24", saved(dim__1=-24), "so it has no voxel"),
    Odd("dim_huge", "32767 x 32767 x 32767 claimed", saved(dim__1=32767, dim__2=32767, dim__3=32767), "claims 35181150961663 voxels"),
    Odd("dim_more", "more voxels claimed than there are", saved(dim__3=19), CUT),
    Odd("eight_dims", "8 dimensions claimed", saved(dim__0=8), NOT_NIFTI),
    Odd("no_dims", "0 dimensions claimed", saved(dim__0=0), "so it has no voxel"),
    Odd("offset_huge", "voxels claimed to begin after 10^30 bytes", saved(vox_offset=1e30), CUT),
    Odd("offset_nan", "voxels claimed to begin nowhere", saved(vox_offset=np.nan), NOT_NIFTI),
    # the header: type
    Odd("uint8", "uint8", saved(dtype=np.uint8)),
    Odd("int64", "int64", saved(dtype=np.int64)),
    Odd("uint64", "uint64", saved(dtype=np.uint64)),
    Odd("float64", "float64", saved(dtype=np.float64)),
    Odd("float128", "float128", saved(datatype=1536), NOT_NIFTI, "float64"),
    Odd("big_endian", "big-endian", saved(order=">")),
    Odd("nifti2", "NIfTI-2", saved(kind=nib.Nifti2Image)),
    Odd("nifti2_big", "NIfTI-2, big-endian", saved(kind=nib.Nifti2Image, order=">", dtype=np.float64)),
    Odd("extension", "with header extensions", saved(edit=extended)),
    Odd("rgb", "colours", rgb, "voxels, expected integers or floats"),
    Odd("complex", "complex numbers", saved(dtype=np.complex64), "voxels, expected integers or floats"),
    Odd("no_type", "an unknown data type", saved(datatype=77), NOT_NIFTI),
    Odd("slope", "int16 with a slope", saved(VOXELS * 4, scl_slope=0.25, scl_inter=0)),
    Odd("slope_zero", "scl_slope 0: no scaling", saved(scl_slope=0)),
    Odd("slope_nan", "scl_slope NaN: no scaling", saved(scl_slope=np.nan)),
    Odd("slope_inf", "scl_slope infinite", saved(scl_slope=np.inf), "has an infinite scl_slope", "slope"),
    Odd("slope_huge", "scl_slope 1e38: beyond float32", saved(scl_slope=1e38), "NaN or infinite", "slope"),
    Odd("intercept_nan", "scl_inter NaN", saved(scl_slope=1, scl_inter=np.nan), NOT_NIFTI, "slope"),
    # the header: dimensions
    Odd("four_d_of_one", "4D of one volume", saved(VOXELS[..., None])),
    Odd("five_d_of_one", "5D of one volume", saved(VOXELS[..., None, None])),
    Odd("four_d", "4D of two volumes", saved(np.stack([VOXELS, VOXELS], 3)), "4 dimensions", "four_d_of_one"),
    Odd("five_d", "5D of two volumes", saved(np.stack([VOXELS, VOXELS], 3)[:, :, :, None]), "5 dimensions", "five_d_of_one"),
    Odd("two_d", "2D", saved(VOXELS[:, :, 9]), "2 dimensions", "one_slice"),
    Odd("one_slice", "one slice", saved(VOXELS[:, :, 9:10]), voxels=VOXELS[:, :, 9:10]),
    # the header: place and size
    Odd("no_sform", "qform only", no_sform()),
    Odd("no_qform", "sform only", saved(qform_code=0)),
    Odd("no_form", "neither qform nor sform", no_sform(qform_code=0), warned="its orientation is a guess", voxels=VOXELS[::-1]),
    Odd("forms_disagree", "qform and sform with other voxel sizes", saved(pixdim__1=3), warned="disagree on its axes or voxel size"),
    Odd("bad_qform", "a qform that is none, beside a good sform", saved(quatern_b=9), warned="disagree on its axes or voxel size"),
    Odd("pixdim_beside_sform", "voxel sizes NaN beside a good sform", saved(pixdim__1=np.nan), warned="disagree"),
    Odd("sform_nan", "NaN in the sform", saved(srow_x__0=np.nan), "an affine that is not invertible"),
    Odd("sform_zero", "an sform of zeros", saved(srow_x=np.zeros(4), srow_y=np.zeros(4), srow_z=np.zeros(4)), "an affine that is not invertible"),
    Odd("sform_flat", "an sform with two equal axes", saved(srow_y=AFFINE[0]), "an affine that is not invertible"),
    Odd("pixdim_nan", "voxel sizes NaN", no_sform(pixdim__2=np.nan), "an affine that is not invertible", "no_sform"),
    Odd("pixdim_infinite", "voxel sizes infinite", no_sform(pixdim__1=np.inf), "an affine that is not invertible", "no_sform"),
    Odd("sform_huge", "an sform of 1e300", saved(kind=nib.Nifti2Image, srow_x__0=1e300), "has voxels of", "nifti2"),
    Odd("pixdim_zero", "voxel sizes 0", no_sform(pixdim__2=0), "has no voxel size", "no_sform"),
    Odd("pixdim_negative", "voxel sizes below 0, whose sign means nothing", no_sform(pixdim__2=-SPACING[1])),
    Odd("quaternion", "a qform that is none", no_sform(quatern_b=9), "has no valid affine", "no_sform"),
    Odd("metres", "in metres", saved(affine=np.diag([1e-3] * 3 + [1]) @ AFFINE, xyzt_units=1)),
    Odd("microns", "in microns", saved(affine=np.diag([1e3] * 3 + [1]) @ AFFINE, xyzt_units=3)),
    Odd("not_metres", "in millimetres, but called metres", saved(xyzt_units=1), "has voxels of", "metres"),
    Odd("not_mm", "in microns, but called millimetres", saved(affine=np.diag([1e3] * 3 + [1]) @ AFFINE), "has voxels of", "microns"),
    Odd("lps", "LPS", reoriented([0, -1], [1, -1], [2, 1])),
    Odd("reoriented", "another order of axes", reoriented([2, -1], [0, 1], [1, -1])),
    Odd("thick", "1 x 1 x 5 mm", saved(affine=THIN)),
    # the voxels
    Odd("nan", "a voxel that is NaN", saved(holed(np.nan), dtype=np.float32), "holds 1 voxels that are NaN"),
    Odd("infinite", "a voxel that is infinite", saved(holed(np.inf), dtype=np.float32), "holds 1 voxels that are NaN"),
    Odd("too_bright", "a voxel beyond float32", saved(holed(1e300, np.float64), dtype=np.float64), "holds 1 voxels that are NaN"),
    Odd("zero", "zero everywhere", saved(VOXELS * 0), "is zero everywhere"),
    Odd("too_dark", "values that vanish in float32", saved(VOXELS * 1e-300, dtype=np.float64), "is zero everywhere"),
    Odd("constant", "one value in the whole brain, as a mask has", saved(BRAIN), "has the value 1 throughout the brain"),
    Odd("z_scores", "intensities normalised to mean 0", saved(scores(), dtype=np.float32), "is negative in", "ringing"),
    Odd("negative", "negative everywhere", saved(-VOXELS), "is negative in 100%", "ringing"),
    Odd("ringing", "a few voxels a little below zero", saved(ringing(), dtype=np.float32), voxels=ringing()),
    Odd("skull", "not skull-stripped", saved(VOXELS + 1), "is not skull-stripped"),
    Odd("tiny", "2 x 2 x 2 voxels", saved(BLOCK), voxels=BLOCK),
]  # fmt: skip

UNSAFE = "is not safe as a file name"
NAMES = [
    Odd("plain", "a usual name", content(good)),
    Odd("newline", "a line break", content(good), UNSAFE, stem="a\nb"),
    Odd("not_text", "bytes that are no UTF-8", content(good), UNSAFE, stem="a\udcffb"),
    Odd("right_to_left", "a mark that turns the text around", content(good), UNSAFE, stem="a\u202eb"),
    Odd("escape", "what a terminal would obey", content(good), UNSAFE, stem="a\x1b[31mb"),
    Odd("option", "a dash in front", content(good), UNSAFE, stem="-rf"),
    Odd("markup", "brackets, quotes, accents", content(good), stem="[red] 'ä' & Ж"),
    Odd("long", "more than 150 bytes", content(good), UNSAFE, "less_long", stem="a" * 151),
    Odd("less_long", "150 bytes", content(good), stem="a" * 150),
]

# --- one subject: its images and masks ---


def subject(**roles):
    """Write `<role>.nii.gz` for each role; a role of None is left out."""

    def make(folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        for role, write in ({"flair": saved(), "t1": saved(VOXELS[::-1])} | roles).items():
            if write:
                write(folder / f"{role}.nii.gz")

    return make


def moved(mm):
    affine = AFFINE.copy()
    affine[0, 3] += mm
    return affine


def mask(voxels=BRAIN, **fields):
    return saved(voxels, np.float32, **fields)


OTHER_SHAPE, OTHER_PLACE = saved(VOXELS[1:]), saved(affine=moved(20))
APART, NO_LESION, NO_BRAIN = "are not co-registered", "is no lesion mask", "is no brain mask"
SUBJECTS = [
    Odd("plain", "two images and both masks", subject(brain=mask(), seg=mask(LESION))),
    Odd("image_shape", "an image of another shape", subject(t1=OTHER_SHAPE), APART),
    Odd("image_place", "an image at another place", subject(t1=OTHER_PLACE), APART),
    Odd("image_missing", "an image is missing", subject(t1=None), "has no t1; it has flair"),
    Odd("image_damaged", "a damaged image", subject(t1=cut(50)), CUT),
    Odd("image_zero", "an image that is zero", subject(t1=saved(VOXELS * 0)), "is zero everywhere"),
    Odd("image_scores", "an image of z-scores", subject(t1=saved(scores(), dtype=np.float32)), "is negative in"),
    Odd("brain_shape", "a brain mask of another shape", subject(brain=mask(BRAIN[1:])), APART),
    Odd("brain_place", "a brain mask at another place", subject(brain=mask(affine=moved(20))), APART),
    Odd("brain_empty", "an empty brain mask", subject(brain=mask(BRAIN * 0)), "is zero everywhere"),
    Odd("brain_full", "a brain mask that is 1 everywhere", subject(brain=mask(BRAIN + 1)), NO_BRAIN),
    Odd("brain_shares", "a brain mask of probabilities", subject(brain=mask(BRAIN * 0.7)), NO_BRAIN),
    Odd("brain_negative", "a brain mask with values below 0", subject(brain=mask(-1.0 * BRAIN)), NO_BRAIN),
    Odd("brain_nan", "a brain mask with NaN", subject(brain=mask(holed(np.nan))), "NaN or infinite"),
    Odd("brain_scan", "a stripped scan as the brain mask", subject(brain=saved())),
    Odd("brain_over_skull", "a scan with skull and a brain mask", subject(flair=saved(VOXELS + 9), brain=mask())),
    Odd("brain_elsewhere", "a brain mask where the scan is empty", subject(flair=saved(np.where(LESION, 0, VOXELS)), brain=mask(LESION)), "has the value 0 throughout the brain"),
    Odd("lesion_empty", "an empty lesion mask: healthy", subject(seg=mask(LESION * 0))),
    Odd("lesion_labels", "a lesion mask with labels 1, 2, 4", subject(seg=mask(LESION * 4))),
    Odd("lesion_shares", "a lesion mask of probabilities", subject(seg=mask(LESION * 0.7)), NO_LESION, "lesion_labels"),
    Odd("lesion_negative", "a lesion mask with values below 0", subject(seg=mask(-1.0 * LESION)), NO_LESION),
    Odd("lesion_nan", "a lesion mask with NaN", subject(seg=mask(holed(np.nan))), "NaN or infinite"),
    Odd("lesion_shape", "a lesion mask of another shape", subject(seg=mask(LESION[1:])), APART),
    Odd("lesion_origin", "a lesion mask with another origin, whose voxels fit", subject(seg=mask(LESION, affine=moved(20))), warned="has another origin than its scan"),
    Odd("lesion_place", "a lesion mask with another origin, whose voxels do not fit", subject(seg=mask(~BRAIN, affine=moved(20))), APART, "lesion_origin"),
]  # fmt: skip

# --- a cohort: folders and tables ---


def untouched(folder: Path):
    """Nothing is made."""


def tree(*names):
    def make(folder: Path):
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(good())

    return make


def table(text, name="cohort.csv", encoding="utf-8"):
    def make(folder: Path):
        tree("a.nii.gz", "b.nii.gz")(folder)
        (folder / name).write_bytes(text.encode(encoding))

    return make


def both(*makes):
    return lambda folder: [make(folder) for make in makes]


def dataset(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return both(tree("imagesTr/A.nii.gz"), lambda folder: (folder / "dataset.json").write_text(text))


def named(value):
    return lambda folder: (folder / "dataset.json").write_text(json.dumps(value))


channels = tree("imagesTr/A_0000.nii.gz", "imagesTr/A_0001.nii.gz")


def participants(text):
    return both(tree("sub-1/anat/sub-1_FLAIR.nii.gz"), lambda folder: (folder / "participants.tsv").write_text(text))


def endless(folder: Path):
    tree("sub-1/anat/sub-1_FLAIR.nii.gz", "derivatives/x/sub-1_label-lesion_mask.nii.gz")(folder)
    (folder / "derivatives" / "again").symlink_to(".")


CSV, EITHER = "cohort.csv", "./"
COHORTS = [
    Odd("folders", "folders of subjects", tree("A/flair.nii.gz", "B/flair.nii.gz"), suffix=EITHER),
    Odd("gone", "a folder that does not exist", untouched, "does not exist", "folders", suffix="gone"),
    Odd("nothing", "an empty folder", untouched, "holds no NIfTI scan", "folders", suffix=EITHER),
    Odd("store", "a store", lambda folder: (folder / "manifest.json").touch(), "holds a prepared store, which is not a cohort", "folders", suffix=EITHER),
    Odd("model", "a model", lambda folder: (folder / "card.json").touch(), "holds a model, which is not a cohort", "folders", suffix=EITHER),
    Odd("benchmark", "results of a benchmark", lambda folder: (folder / "results.json").touch(), "holds the results of a benchmark, which is not a cohort", "folders", suffix=EITHER),
    Odd("predictions", "results of `mmccd predict`", lambda folder: (folder / "summary.csv").touch(), "holds results of", "folders", suffix=EITHER),
    Odd("unlike", "names that fit no layout", tree("scan.nii.gz"), "fits none of the layouts", "folders", suffix=EITHER),
    Odd("image", "an image instead of a folder", tree("a.nii.gz"), "is a single image, not a cohort", "folders", suffix="a.nii.gz"),
    Odd("notes", "a text file", lambda folder: (folder / "notes.txt").touch(), "is not a cohort", "csv", suffix="notes.txt"),
    Odd("folder_for_file", "a folder where a scan should be", both(tree("A/flair.nii.gz", "B/t1.nii.gz"), lambda folder: (folder / "A" / "t1.nii.gz").mkdir()), "is not a file", "folders", suffix=EITHER),
    Odd("nowhere", "a link that leads nowhere", both(tree("A/flair.nii.gz", "B/t1.nii.gz"), lambda folder: (folder / "A" / "t1.nii.gz").symlink_to("x")), "is a dangling link", "folders", suffix=EITHER),
    Odd("endless", "a folder linked into itself", endless, suffix=EITHER),
    Odd("masks", "masks without an image", tree("A/seg.nii.gz", "B/flair.nii.gz"), "has no image, only masks", "folders", suffix=EITHER),
    Odd("twice", "two files for one modality", tree("A/flair.nii.gz", "A/t2f.nii.gz", "B/t1.nii.gz"), "several files for flair", "folders", suffix=EITHER),
    Odd("stray", "a scan in no subject's folder", tree("A/flair.nii.gz", "t1.nii.gz"), "lies in no subject's folder", "folders", suffix=EITHER),
    Odd("copies", "one id in two folders", tree("x/A/A_flair.nii.gz", "y/A/A_flair.nii.gz"), "ids must be unique", "folders", suffix=EITHER),
    Odd("capitals", "ids that differ in capitals only", tree("A1/flair.nii.gz", "a1/flair.nii.gz"), "differs in capitals only", "folders", suffix=EITHER),
    Odd("unsafe", "an id that is no file name", tree("a\nb/flair.nii.gz", "B/flair.nii.gz"), UNSAFE, "folders", suffix=EITHER),
    Odd("misnamed", "a subject with other names than the rest", tree("A/A_flair.nii.gz", "B/B_flair.nii.gz", "C/FLAIR.nii.gz"), "not named <subject>_<modality>", "folders", suffix=EITHER),
    Odd("msd", "MSD", dataset({"modality": {"0": "FLAIR"}}), suffix=EITHER),
    Odd("msd_broken", "MSD with a broken dataset.json", dataset("{"), 'has no usable "modality" table', "msd", suffix=EITHER),
    Odd("msd_deep", "MSD with a dataset.json of 100,000 brackets", dataset("[" * 100_000), 'has no usable "modality" table', "msd", suffix=EITHER),
    Odd("msd_escape", "MSD with a modality that is a path", dataset({"modality": {"0": "../../x"}}), "has a modality or column '../../x'", "msd", suffix=EITHER),
    Odd("msd_listed", "MSD that lists an absent file", dataset({"modality": {"0": "FLAIR"}, "training": [{"image": "imagesTr/B.nii.gz"}]}), "does not exist", "msd", suffix=EITHER),
    Odd("nnunet", "nnU-Net", both(channels, named({"channel_names": {"0": "FLAIR", "1": "T1"}})), suffix=EITHER),
    Odd("nnunet_unknown", "nnU-Net without dataset.json", channels, "so nothing says which modality each channel", "nnunet", suffix=EITHER),
    Odd("nnunet_channel", "nnU-Net with a channel that dataset.json does not name", both(channels, named({"channel_names": {"0": "FLAIR"}})), "is a channel that dataset.json does not name", "nnunet", suffix=EITHER),
    Odd("strays", "a file with another name among those of several subjects", tree("A_flair.nii.gz", "B_flair.nii.gz", "C_flair_n4.nii.gz"), "not named <subject>_<modality>", "folders", suffix=EITHER),
    Odd("bids", "BIDS with participants.tsv", participants("participant_id\tsplit\nsub-1\ttrain\nsub-9\tn/a\n"), suffix=EITHER),
    Odd("bids_ragged", "participants.tsv with a line too short", participants("participant_id\tage\nsub-1\n"), "line 2 has 1 cells", "bids", suffix=EITHER),
    Odd("bids_no_id", "participants.tsv without participant_id", participants("id\tage\nsub-1\t3\n"), "has no column participant_id", "bids", suffix=EITHER),
    Odd("bids_split", "participants.tsv with an unknown split", participants("participant_id\tsplit\nsub-1\tfold\n"), "has the split 'fold'", "bids", suffix=EITHER),
    Odd("csv", "a table", table("subject,flair\nA,a.nii.gz\nB,b.nii.gz\n"), suffix=CSV),
    Odd("csv_bom", "with a byte-order mark", table("\ufeffsubject,flair\nA,a.nii.gz\n"), suffix=CSV),
    Odd("csv_semicolons", "with semicolons", table("subject;flair\nA;a.nii.gz\n"), suffix=CSV),
    Odd("csv_windows", "with lines of Windows", table("subject,flair\r\nA,a.nii.gz\r\n\r\n"), suffix=CSV),
    Odd("csv_relative", "with paths relative to it", table("subject,flair\nA,./a.nii.gz\nB,../csv_relative/b.nii.gz\n"), suffix=CSV),
    Odd("csv_utf16", "a table in UTF-16", table("subject,flair\nA,a.nii.gz\n", encoding="utf-16"), "cannot be read as a table", "csv", suffix=CSV),
    Odd("csv_latin", "a table in Latin-1", table("subject,flair\nMüller,a.nii.gz\n", encoding="latin-1"), "cannot be read as a table", "csv", suffix=CSV),
    Odd("csv_empty", "an empty table", table(""), "is empty, expected a header", "csv", suffix=CSV),
    Odd("csv_header", "a table without rows", table("subject,flair\n"), "has no modality column or no row", "csv", suffix=CSV),
    Odd("csv_no_subject", "without the column subject", table("id,flair\nA,a.nii.gz\n"), "has no column subject", "csv", suffix=CSV),
    Odd("csv_columns", "two columns of one name", table("subject,flair,flair\nA,a.nii.gz,b.nii.gz\n"), "columns without a name of their own", "csv", suffix=CSV),
    Odd("csv_column", "a column that no modality can be called", table("subject,T1 post\nA,a.nii.gz\n"), "has a modality or column 't1 post'", "csv", suffix=CSV),
    Odd("csv_age", "a column without files", table("subject,flair,age\nA,a.nii.gz,33\n"), "that names no NIfTI file", "csv", suffix=CSV),
    Odd("csv_ragged", "a row too long", table("subject,flair\nA,a.nii.gz,b.nii.gz\n"), "line 2 has 3 cells", "csv", suffix=CSV),
    Odd("csv_cell", "a cell without end", table("subject,flair\nA," + "a" * 200_000), "is not valid CSV", "csv", suffix=CSV),
    Odd("csv_rows", "two rows of one subject", table("subject,flair\nA,a.nii.gz\nA,b.nii.gz\n"), "rows without a subject of their own", "csv", suffix=CSV),
    Odd("csv_blank", "a row without files", table("subject,flair\nA,a.nii.gz\nB,\n"), "its row names no file", "csv", suffix=CSV),
    Odd("csv_missing", "a file that does not exist", table("subject,flair\nA,gone.nii.gz\n"), "does not exist", "csv", suffix=CSV),
    Odd("csv_long", "a file name of 5,000 characters", table(f"subject,flair\nA,{'a' * 5000}.nii.gz\n"), "cannot be looked up", "csv", suffix=CSV),
    Odd("csv_split", "an unknown split", table("subject,flair,split\nA,a.nii.gz,fold1\n"), "has the split 'fold1'", "csv", suffix=CSV),
    Odd("csv_same_image", "one file for two modalities", table("subject,flair,t1\nA,a.nii.gz,./a.nii.gz\n"), "is given twice, as flair of A and as t1 of A", "csv", suffix=CSV),
    Odd("csv_same_scan", "one file for two subjects", table("subject,flair\nA,a.nii.gz\nB,a.nii.gz\n"), "is given twice, as flair of A and as flair of B", "csv", suffix=CSV),
]  # fmt: skip
