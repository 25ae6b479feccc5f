"""Every kind of odd subject and cohort, as `odd_inputs.py` has those of single files."""

# ruff: noqa: E501 - tables: one input a line

import json
from pathlib import Path

import numpy as np
from odd_inputs import AFFINE, BRAIN, CUT, LESION, UNSAFE, VOXELS, Odd, cut, good, holed, saved, scores

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
TWO_FORMS = {"flair": saved(qoffset_x=AFFINE[0, 3] + 20), "t1": saved(qoffset_x=AFFINE[0, 3] + 20)}
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
    Odd("brain_form", "a brain mask at the scan's qform, whose sform was moved", subject(**TWO_FORMS, brain=mask(affine=moved(20))), warned="20.0 mm apart"),
    Odd("brain_no_form", "a brain mask at neither form of the scan", subject(**TWO_FORMS, brain=mask(affine=moved(30))), APART, "brain_form"),
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
    Odd("lesion_form", "a lesion mask at the scan's qform, whose sform was moved", subject(**TWO_FORMS, seg=mask(LESION, affine=moved(20))), warned="20.0 mm apart"),
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
    Odd("derivatives", "results of `mmccd predict --bids`", both(tree("sub-1/anat/sub-1_desc-anomaly_FLAIR.nii.gz"), lambda folder: (folder / "dataset_description.json").write_text('{"GeneratedBy": [{"Name": "mmccd"}]}')), "which is not a cohort", "folders", suffix=EITHER),
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
    Odd("ixi", "a folder per modality", tree("IXI-T1/IXI002-HH-1-T1.nii.gz", "IXI-T2/IXI002-HH-1-T2.nii.gz"), suffix=EITHER),
    Odd("sites", "sites above the subjects, stages inside them", tree("Utrecht/0/orig/FLAIR.nii.gz", "Utrecht/0/pre/FLAIR.nii.gz", "GE/3T/1/pre/FLAIR.nii.gz"), suffix=EITHER),
    Odd("copies_corrected", "a corrected copy beside each image", tree("P1/P1_FLAIR.nii.gz", "P1/P1_FLAIR_bias.nii.gz", "P1/P1_ADC.nii.gz"), suffix=EITHER),
    Odd("visits", "visits that are called T1 and T2", tree("P1/T1/P1_T1_FLAIR.nii.gz", "P1/T1/P1_T1_T1.nii.gz", "P1/T2/P1_T2_FLAIR.nii.gz", "P1/T2/P1_T2_T1.nii.gz"), suffix=EITHER),
    Odd("fmriprep", "what fMRIPrep writes", tree(*(f"sub-1/anat/sub-1_{space}desc-preproc_T1w.nii.gz" for space in ("", "space-MNI152NLin2009cAsym_"))), suffix=EITHER),
    Odd("isles", "BIDS with a suffix in lower case", tree("sub-1/ses-1/anat/sub-1_ses-1_flair.nii.gz"), suffix=EITHER),
    Odd("atlas", "BIDS site by site", tree("R001/sub-1/anat/sub-1_space-MNI_T1w.nii.gz", "R002/sub-2/anat/sub-2_space-MNI_T1w.nii.gz"), suffix=EITHER),
    Odd("bids", "BIDS with participants.tsv", participants("participant_id\tsplit\nsub-1\ttrain\nsub-9\tn/a\n"), suffix=EITHER),
    Odd("bids_runs", "two runs of one modality", tree("sub-1/anat/sub-1_FLAIR.nii.gz", "sub-1/anat/sub-1_run-1_T1w.nii.gz", "sub-1/anat/sub-1_run-2_T1w.nii.gz"), "several files for t1", "bids", suffix=EITHER),
    Odd("bids_ragged", "participants.tsv with a line too short", participants("participant_id\tage\nsub-1\n"), "line 2 has 1 cells", "bids", suffix=EITHER),
    Odd("bids_no_id", "participants.tsv without participant_id", participants("id\tage\nsub-1\t3\n"), "has no column participant_id", "bids", suffix=EITHER),
    Odd("bids_split", "participants.tsv with an unknown split", participants("participant_id\tsplit\nsub-1\tfold\n"), "has the split 'fold'", "bids", suffix=EITHER),
    Odd("csv", "a table", table("subject,flair\nA,a.nii.gz\nB,b.nii.gz\n"), suffix=CSV),
    Odd("csv_bom", "with a byte-order mark", table("\ufeffsubject,flair\nA,a.nii.gz\n"), suffix=CSV),
    Odd("csv_semicolons", "with semicolons", table("subject;flair\nA;a.nii.gz\n"), suffix=CSV),
    Odd("csv_windows", "with lines of Windows", table("subject,flair\r\nA,a.nii.gz\r\n\r\n"), suffix=CSV),
    Odd("csv_relative", "with paths relative to it", table("subject,flair\nA,./a.nii.gz\nB,../csv_relative/b.nii.gz\n"), suffix=CSV),
    Odd("csv_tabs", "with tabs", table("subject\tflair\nA\ta.nii.gz\n"), suffix=CSV),
    Odd("csv_sep", "with a first line sep=;", table("sep=;\r\nsubject;flair\r\nA;a.nii.gz\r\n"), suffix=CSV),
    Odd("csv_excel", "with empty columns and rows at its end", table("subject,flair,,\r\nA,a.nii.gz,,\r\n,,,\r\n"), suffix=CSV),
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
