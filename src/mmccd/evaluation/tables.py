"""What an evaluation found, as tables that say what is label-free and what was tuned on the test labels."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmccd.evaluation import paper_protocol
from mmccd.evaluation.intervals import Interval
from mmccd.evaluation.measure import METRICS, Row
from mmccd.evaluation.paper_protocol import PAPER_METRICS
from mmccd.system.provenance import provenance

_PER_CASE = ("dice", "auprc", "auroc", "sensitivity", "precision", "assd_mm", "hd95_mm", "oracle_dice",
             "predicted_ml", "lesion_ml")  # fmt: skip
_EXPLANATION = """\
Means over patients, each the mean of its sessions, with 95 % bootstrap intervals. Dice, IoU, sensitivity, precision and
the surface distances belong to the mask at the threshold that was chosen WITHOUT labels; AUPRC and AUROC run over brain
voxels. oracle_dice is an upper bound: its threshold was chosen with the labels of these very cases. Undefined values
(no lesion, empty mask) are left out of a mean and counted. "model - ..." is the paired difference.
"""


@dataclass(frozen=True)
class Evaluation:
    """What ``mmccd evaluate`` found.

    Attributes:
        rows: One per case and method; NaN is undefined, inf a distance to an empty mask.
        aggregates: Method to metric to mean over patients, each the mean of its sessions.
        differences: Baseline to metric to the paired difference, model minus baseline, over patients.
        oracle_thresholds: Method to the threshold chosen WITH the test labels, behind ``oracle_dice``.
        paper: One row per case and method of the paper's protocol.
        paper_aggregates: Method to metric of that protocol to mean over patients.
        paper_thresholds: Method to the threshold of that protocol, on scaled scores.
        failures: Case to the reason why it is in no table.
        not_predicted: How many subjects of the cohort have no prediction.
        trained_on: Cases whose very scan the model was trained or calibrated on.
        mixture: How the predictions were made in several ways, in words; empty where they were made in one.
    """

    rows: tuple[Row, ...]
    aggregates: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    oracle_thresholds: dict[str, float]
    paper: tuple[Row, ...]
    paper_aggregates: dict[str, dict[str, Interval]]
    paper_thresholds: dict[str, float]
    failures: dict[str, str]
    not_predicted: int
    trained_on: tuple[str, ...] = ()
    mixture: str = ""

    def about_trained_on(self) -> str:
        """One sentence without its full stop."""
        cases = len({row["case"] for row in self.rows})
        return (
            f"the model was trained or calibrated on {len(self.trained_on)} of these {cases} scans, "
            "so these numbers do not say how it does on others"
        )

    def table(self) -> list[list[str]]:
        """Header and one line per method (and per paired difference): mean [low, high]."""
        lines = _aggregate_table(self.aggregates, METRICS)
        for baseline, values in self.differences.items():
            cells = [str(values[name]) if name in values else "" for name in METRICS]
            lines.append([f"model - {baseline}", *cells])
        return lines

    def record(self, *, resamples: int, seed: int) -> dict[str, Any]:
        """Everything but the rows of the cases, for JSON."""
        return {
            "cases": len({row["case"] for row in self.rows}),
            "interval": "95 % percentile bootstrap over patients",
            "aggregates": _plain(self.aggregates),
            "differences": _plain(self.differences),
            "oracle_thresholds": self.oracle_thresholds,
            "paper_protocol": {
                "name": paper_protocol.NAME,
                "statement": paper_protocol.STATEMENT,
                "thresholds": self.paper_thresholds,
                "aggregates": _plain(self.paper_aggregates),
                "rows": self.paper,
            },
            "failures": self.failures,
            "not_predicted": self.not_predicted,
            "trained_on": list(self.trained_on),
            "mixture": self.mixture,
            "provenance": provenance(command="evaluate", resamples=resamples, seed=seed),
        }

    def markdown(self) -> str:
        """Aggregates, cases, the protocol of the paper and failures as one Markdown page."""
        per_case = [["case", "method", *_PER_CASE]] + [_line(row, _PER_CASE) for row in self.rows]
        parts = [
            "# Evaluation",
            _EXPLANATION.strip(),
            *([f"**Beware:** {self.about_trained_on()}."] if self.trained_on else []),
            *([f"**Beware:** {self.mixture}."] if self.mixture else []),
            markdown_table(self.table()),
            "## Cases",
            markdown_table(per_case),
        ]
        if self.paper:
            parts += [
                f"## {paper_protocol.NAME[0].upper()}{paper_protocol.NAME[1:]}",
                paper_protocol.STATEMENT,
                markdown_table(_aggregate_table(self.paper_aggregates, PAPER_METRICS)),
                markdown_table(
                    [["case", "method", *PAPER_METRICS]] + [_line(row, PAPER_METRICS) for row in self.paper]
                ),
            ]
        if self.failures:
            listed = [["case", "reason"], *([case, reason] for case, reason in self.failures.items())]
            parts += ["## Left out", markdown_table(listed)]
        if self.not_predicted:
            parts += [f"{self.not_predicted} subjects of the cohort were not predicted."]
        return "\n\n".join(parts) + "\n"


def _plain(aggregates: Mapping[str, Mapping[str, Interval]]) -> dict[str, dict[str, Any]]:
    return {method: {name: asdict(value) for name, value in values.items()} for method, values in aggregates.items()}


def _aggregate_table(aggregates: Mapping[str, Mapping[str, Interval]], metrics: Sequence[str]) -> list[list[str]]:
    return [["method", *metrics]] + [
        [method, *(str(values[name]) for name in metrics)] for method, values in aggregates.items()
    ]


def _line(row: Row, metrics: Sequence[str]) -> list[str]:
    return [str(row["case"]), str(row["method"]), *(f"{row[name]:.3f}" for name in metrics)]


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Header and lines as Markdown; bars and line breaks in cells are made harmless."""
    rows = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    rule = ["---"] * len(rows[0])
    return "\n".join("| " + " | ".join(line) + " |" for line in [rows[0], rule, *rows[1:]])
