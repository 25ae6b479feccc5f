"""Command lines that `mmccd COMMAND --help` ends with; a test parses each as the shell would hand it over."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "info": (
        "mmccd info",
        "mmccd info builtin:flair --json",
    ),
    "doctor": (
        "mmccd doctor",
        "mmccd doctor --json > doctor.json",
    ),
    "demo": (
        "mmccd demo --output demo --open",
        "mmccd demo --scan my_flair.nii.gz",
    ),
    "phantom": (
        "mmccd phantom cohort",
        "mmccd phantom cohort --subjects 40 --lesions 20 --spacing 1",
    ),
    "preprocess": (
        "mmccd preprocess /data/raw cohort --reference flair",
        "mmccd preprocess /data/dicom_export cohort --n4",
    ),
    "validate": (
        "mmccd validate /data/BraTS2021",
        "mmccd validate /data/study --select run=1 --workers 4",
        "mmccd validate /data/heads --strip never",
    ),
    "prepare": (
        "mmccd prepare /data/cohort store",
        "mmccd prepare /data/cohort store --modalities flair,t2 --size 64",
        "mmccd prepare /data/healthy site --fractions 0 1 0 --modalities flair",
    ),
    "train": (
        "mmccd train store model --config small --config best --source flair",
        "mmccd train store model --config small --config best --dry-run",
        "mmccd train store model --config small --config best --resume",
    ),
    "calibrate": (
        "mmccd calibrate builtin:flair site ours",
        "mmccd calibrate model store careful --set scoring.false_positive_rate=0.01",
    ),
    "fuse": (
        "mmccd fuse store fused model_flair model_t2",
        "mmccd fuse store ensemble seed1 seed2 seed3 --device cuda",
    ),
    "export": (
        "mmccd export model model.zip",
        "mmccd export builtin:flair flair.zip",
    ),
    "predict": (
        "mmccd predict builtin:flair scan_flair.nii.gz -o results",
        "mmccd predict model /data/cohort --split store -o results --log-json",
        "mmccd predict builtin:t1 /data/study -o /data/derivatives --bids",
    ),
    "summarise": (
        "mmccd summarise results",
        "mmccd summarise /data/study/derivatives/mmccd",
    ),
    "evaluate": (
        "mmccd evaluate results /data/cohort -o evaluation",
        "mmccd evaluate results /data/cohort -o evaluation --workers 8",
    ),
    "benchmark": (
        "mmccd benchmark store benchmark --dry-run",
        "mmccd benchmark store benchmark --methods mmccd,dae --sources flair",
        "mmccd benchmark store benchmark --also ms=store_ms --size full",
    ),
    "report": (
        "mmccd report results --data /data/cohort -o report.html --open",
        "mmccd report results --scans new_scans --anonymize",
        "mmccd report builtin:flair -o model.html",
    ),
}


def epilog_of(command: str) -> str:
    """The examples of a command, each in a line of its own."""
    return "\n\n".join(("[bold]Examples:[/bold]", *EXAMPLES[command]))
