"""`mmccd-bids`: `mmccd predict --bids` as a BIDS App, with the arguments that all of them have."""

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import NoReturn

import typer

from mmccd.cli.app import LEAST_MB_TO_COMPUTE, ended, leave
from mmccd.cli.log import HELP, LOG_JSON, said_as_asked
from mmccd.cli.output import finish, finish_scored, out, say
from mmccd.errors import ConfigError
from mmccd.system.memory import check_limit
from mmccd.system.progress import reported_progress
from mmccd.version import __version__

NAME = "mmccd-bids"
_ABOUT = """Anomaly maps of a BIDS dataset, as BIDS derivatives.

participant  scores the scans: a map, a mask and JSON per session; what is there already is kept
group        a table and a page of all participants that were scored: summary.tsv, report.html
"""
_EXAMPLES = """examples:
  everybody, by the FLAIR model that ships, which needs FLAIR and nothing else:
    mmccd-bids /data/study /data/study/derivatives/mmccd participant

  two participants, one session, the T1w model (as a job of an array; many may share one folder):
    mmccd-bids /data/study /out participant --participant-label 01 02 --session-label pre --model builtin:t1

  of several runs or acquisitions, which one:
    mmccd-bids /data/study /out participant --select run=1 acq=highres

  afterwards, once:
    mmccd-bids /data/study /out group

What is written, and how to hand masks to fMRIPrep: docs/reference/cli.md. Research use only. Not a medical device.
"""


class _Parser(ArgumentParser):
    """Leaves as all commands here do: a line of error and a line of hint."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, f"see `{NAME} --help`")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002 - argparse asks for it
        raise typer.Exit(status)


def parser() -> ArgumentParser:
    """What `mmccd-bids` understands."""
    made = _Parser(NAME, description=_ABOUT, epilog=_EXAMPLES, formatter_class=RawDescriptionHelpFormatter)
    add = made.add_argument
    add("bids_dir", type=Path, metavar="BIDS_DIR", help="the dataset: the folder that holds sub-...")
    add("output_dir", type=Path, metavar="OUT", help="the derivatives: a folder that is new, empty or was written here")
    add("analysis_level", choices=("participant", "group"), help="what to do, see above")
    add("--participant-label", "--participant_label", nargs="+", default=[], metavar="LABEL",
        help="only these participants, with or without sub-")  # fmt: skip
    add("--session-label", "--session_label", nargs="+", default=[], metavar="LABEL",
        help="only these sessions, with or without ses-")  # fmt: skip
    add("--select", nargs="+", default=[], metavar="ENTITY=VALUE",
        help="which of several files of a session is meant, for example run=1")  # fmt: skip
    add("--model", type=Path, default=Path("builtin:flair"),
        help="folder or .zip of a model; or builtin:flair (default), builtin:t1, builtin:t2")  # fmt: skip
    add("--threshold", default="voxel", help="voxel (default), relative or scan: see `mmccd predict --help`")
    add("--strip", default="auto", help="auto (default), always or never: whether brains are extracted")
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    add("--runtime", default="torch", help="torch (default), or openvino")
    add("--batch-size", type=int, default=16, help="slices at a time (default 16)")
    add("--overwrite", action="store_true", help="score again what is already there")
    add("--skip-bids-validation", "--skip_bids_validation", "--skip_bids_validator", action="store_true",
        help="changes nothing, as the dataset is not validated: what cannot be read is refused by name")  # fmt: skip
    add("--quiet", "-q", action="store_true", help="show no progress")
    add(LOG_JSON, action="store_true", help=HELP)
    add("--version", action="version", version=f"{NAME} {__version__}")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run one level; its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    with said_as_asked(given, NAME) as end:
        return end(ended(lambda: _run(parser().parse_args(given)), name=NAME))


def entry() -> None:
    """The installed command."""
    leave(main)


def _run(asked: Namespace) -> None:
    check_limit(LEAST_MB_TO_COMPUTE)
    if asked.batch_size < 1:
        raise ConfigError(f"--batch-size is {asked.batch_size}, expected at least 1", "16 is usual")
    if asked.skip_bids_validation:
        say("--skip-bids-validation changes nothing: this program never validates, and refuses what it cannot read")
    if asked.analysis_level == "participant":
        _participant(asked)
    else:
        _group(asked)


def _participant(asked: Namespace) -> None:
    """Score, and write derivatives."""
    from mmccd.data.layouts.entities import parse_selection
    from mmccd.data.own_folders import NATIVE
    from mmccd.prediction.bids import bids_cohort, chosen_cases, predict_bids
    from mmccd.prediction.detector import Detector
    from mmccd.raw.brain import check_strip

    strip, select = check_strip(asked.strip), parse_selection(asked.select)
    cases = chosen_cases(bids_cohort(asked.bids_dir, "bids", select), asked.participant_label, asked.session_label)
    detector = Detector.load(
        asked.model, device=asked.device, batch_size=asked.batch_size, runtime=asked.runtime, threshold=asked.threshold
    )
    with reported_progress(f"participant on {detector.device}", quiet=asked.quiet) as progress:
        outcomes = predict_bids(
            detector, asked.bids_dir, asked.output_dir, model=asked.model.name, layout="bids", select=select,
            strip=strip, subjects=cases, overwrite=asked.overwrite, told=say, progress=progress,
        )  # fmt: skip
    finish_scored(outcomes, asked.output_dir / NATIVE)


def _group(asked: Namespace) -> None:
    """A table and a page of all that was scored."""
    from mmccd.data.layouts.entities import parse_selection
    from mmccd.prediction.bids import PAGE, write_table
    from mmccd.reporting.predictions import Settings
    from mmccd.reporting.report import report

    if asked.participant_label or asked.session_label:
        what = "--participant-label and --session-label choose what to score, and group takes all that was scored"
        raise ConfigError(what, "leave them out")
    table = write_table(asked.output_dir)
    settings = Settings(scans=(asked.bids_dir,), layout="bids", select=parse_selection(asked.select))
    with reported_progress("group", quiet=asked.quiet) as progress:
        written = report(asked.output_dir, asked.output_dir / PAGE, settings, progress=progress)
    out.print(f"table  {table}")
    out.print(f"page   {written.path} ({written.size / 1e6:.1f} MB)")
    finish(written.problems, len(set(written.problems)) + written.cases)
