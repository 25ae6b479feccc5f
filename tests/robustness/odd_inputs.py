"""Every kind of damaged or odd file that the project has a rule for: how to make one, and what must come of it.

`odd_cohorts.py` has the subjects and cohorts. The tests beside this file read them all, and docs/reference/input.md is
written from them. `refused` is a part of the complaint; without it the input is read, and read correctly. `healthy`
names an input that differs in little and passes, so that a rule which refuses everything is found out.
"""

import gzip
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
    Odd("forms_apart", "qform and sform that lie more than a voxel apart", saved(qoffset_x=-60), warned="lie up to 20.0 mm apart"),
    Odd("forms_close", "qform and sform less than a voxel apart", saved(qoffset_x=-79)),
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
