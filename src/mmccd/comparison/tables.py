"""The records of a benchmark as tables, one page and pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmccd.comparison.artefacts import ARTEFACTS
from mmccd.comparison.contenders import OURS
from mmccd.comparison.paired import holm, mean_interval, number, paired, verdict
from mmccd.comparison.pictures import write_curves, write_montage, write_sizes
from mmccd.comparison.record import BenchmarkRecord, Row
from mmccd.data.store import Store
from mmccd.evaluation.intervals import Interval
from mmccd.evaluation.paper_protocol import PAPER_METRICS
from mmccd.evaluation.tables import markdown_table
from mmccd.system.files import write_atomically, write_csv, write_json
from mmccd.version import __version__

HONEST = ("auprc", "dice", "relative_dice", "oracle_dice", "lesion_f1", "healthy_marked", "healthy_alarm")

HOW_TO_READ = """\
Each row scores the same test subjects with the same code; means over subjects with 95 % bootstrap intervals, where a
patient with several sessions counts once. AUPRC runs over the brain voxels of whole volumes on the grid of the store.
**dice**, **lesion_f1** and **healthy_marked** (share of the brain that is marked in slices at least 12 mm from any
lesion) belong to the threshold that was chosen on healthy validation slices WITHOUT labels; **relative_dice** to one
chosen alike that is counted from the upper quartile of each scan's own map; **healthy_alarm** is the share of subjects
in which the threshold for scans marks anything in those slices; **oracle_dice** had its threshold chosen with the
labels of these very subjects and is an upper bound of dice. *evidence* scores as the preset `best` does: healthy tail
evidence, stated polarity, smoothing, the same for every method; the other rows by the squared error over the whole
brain. *Veiled cycle (best)* is that preset; the paper's masked diffusion is *MMCCD fast*, with fewer evaluations, and
*MMCCD, paper's sampler*. The baselines are their papers' restorations within this project's training:
where they differ is said in each file's first lines."""
PAPER_NOTE = """\
The paper's protocol with its faults, for comparison with papers only: one slice per subject, scores scaled over all
subjects, threshold chosen with the test labels, AUC over the whole slice with an easy background. Its thresholds reach
from 0 to 0.099 of the highest score, which suits squared errors alone, so only these are here. On the grid of the
store: the paper's numbers are not comparable."""


@dataclass(frozen=True)
class BenchmarkResult:
    """All records, and where the page was written.

    Attributes:
        records: One per source modality and contender.
        page: RESULTS.md.
    """

    records: tuple[BenchmarkRecord, ...]
    page: Path

    def table(self, source: str) -> list[list[str]]:
        """Header and one line per contender, the highest AUPRC first."""
        return honest_table([record for record in self.records if record.source == source])


def write_results(
    output: Path, records: Sequence[BenchmarkRecord], store: Store, command: str, kinds: Sequence[str]
) -> BenchmarkResult:
    """Write ``results.json``, ``results.csv``, ``RESULTS.md``, curves, Dice by lesion size and a montage per source."""
    sources = list(dict.fromkeys(record.source for record in records))
    origin = {"command": command}
    write_json(output / "results.json", [record.as_json() | origin for record in records])
    write_csv(output / "results.csv", [row | origin for row in _csv_rows(records)])
    parts = [f"# Benchmark, size {records[0].size}", _about(records, store, command), HOW_TO_READ]
    for source in sources:
        mine = [record for record in records if record.source == source]
        parts += [
            f"## {source.upper()} as input",
            markdown_table(honest_table(mine)),
            f"![Precision against recall](curves_{source}.png)",
            *(part for ours in OURS for part in _against_others(mine, ours)),
            f"![Dice by lesion size](sizes_{source}.png)",
            f"![The same subjects, all methods](montage_{source}.png)",
        ]
        write_curves(output / f"curves_{source}.png", mine, source)
        write_sizes(output / f"sizes_{source}.png", mine, source)
        write_montage(output / f"montage_{source}.png", mine, store, source)
    parts += _kinds(records, sources, kinds)
    parts += ["## The paper's protocol (oracle)", PAPER_NOTE]
    for source in sources:
        mine = [record for record in records if record.source == source]
        parts += [f"### {source.upper()}", markdown_table(paper_table(mine))]
    parts += ["## Cost", _cost_note(records), markdown_table(_cost_table(records))]
    write_atomically(output / "RESULTS.md", ("\n\n".join(parts) + "\n").encode())
    return BenchmarkResult(tuple(records), output / "RESULTS.md")


def honest_table(records: Sequence[BenchmarkRecord]) -> list[list[str]]:
    """Header and one line per contender, the highest AUPRC first."""
    rows = [(_mean(record, "auprc").mean, record) for record in records if record.rows]
    rows.sort(key=lambda row: -row[0])
    # Results that an older version wrote lack some.
    shown = [name for name in HONEST if all(name in row for _, record in rows for row in record.rows)]
    return [["method", *shown]] + [
        [record.contender, *(str(_mean(record, name)) for name in shown)] for _, record in rows
    ]


def _against_others(records: Sequence[BenchmarkRecord], ours: str) -> list[str]:
    """One of ours less each other contender, paired over subjects; nothing where it is not there."""
    named = {record.contender: record for record in records if record.rows}
    if ours not in named:
        return []
    rivals = [name for name in named if name != ours]
    found = [paired(named[ours], named[name], "auprc") for name in rivals]
    dice = [paired(named[ours], named[name], "dice")[0] for name in rivals]
    adjusted = holm([p for _, p in found])
    lines = [[f"{ours} less ...", "AUPRC", "p (Wilcoxon, Holm)", "dice"]]
    lines += [
        [name, str(interval), f"{p:.4f}", str(other)]
        for name, (interval, _), p, other in zip(rivals, found, adjusted, dice, strict=True)
    ]
    return [verdict(named, ours), markdown_table(lines)]


def _kinds(records: Sequence[BenchmarkRecord], sources: Sequence[str], kinds: Sequence[str]) -> list[str]:
    parts = [
        "## Kinds of anomaly",
        "AUPRC on the test subjects of further stores, by the same models, or, of a store of healthy subjects, the "
        "share of the brain that the label-free threshold marks (less is better); and AUROC of healthy-looking test "
        "slices with a planted artefact against the same slices without it (0.5 is chance).",
    ]
    for source in sources:
        mine = [record for record in records if record.source == source and record.rows]
        planted = [kind for kind in ARTEFACTS if any(kind in record.artefacts for record in mine)]
        lines = [["method", "this store", *kinds, *planted]]
        for record in mine:
            further = [_of_kind(record.kinds.get(name, [])) for name in kinds]
            values = [number(record.artefacts.get(kind)) for kind in planted]
            lines.append([record.contender, f"{_mean(record, 'auprc').mean:.3f}", *further,
                          *(f"{value:.3f}" for value in values)])  # fmt: skip
        parts += [f"### {source.upper()}", markdown_table(lines)]
    return parts


def _of_kind(rows: Sequence[Row]) -> str:
    """Empty where the further store lacks the source modality."""
    if any(row["lesion_ml"] for row in rows):
        return str(mean_interval(rows, "auprc"))
    return f"{mean_interval(rows, 'healthy_marked')} marked" if rows else ""


def paper_table(records: Sequence[BenchmarkRecord]) -> list[list[str]]:
    """Header and one line per method by the squared error in the paper's protocol, the highest Dice first."""
    lines = [["method", *PAPER_METRICS]]
    squares = [r for r in records if r.method and r.scoring == "squared" and r.paper]
    for record in sorted(squares, key=lambda record: np.nan_to_num(-_of_paper(record, "dice").mean, nan=np.inf)):
        lines.append([record.contender, *(str(_of_paper(record, name)) for name in PAPER_METRICS)])
    return lines


def _cost_table(records: Iterable[BenchmarkRecord]) -> list[list[str]]:
    lines = [["source", "method", "parameters", "evaluations per slice", "seconds per slice", "peak memory GB"]]
    for record in records:
        lines.append([
            record.source, record.contender, f"{record.parameters:,}", f"{record.evaluations_per_slice:,.0f}",
            f"{number(record.seconds_per_slice):.4f}", f"{number(record.peak_memory_gb):.2f}",
        ])  # fmt: skip
    return lines


def _cost_note(records: Sequence[BenchmarkRecord]) -> str:
    devices = sorted({f"{r.device}, {r.provenance.get('threads', '?')} threads" for r in records})
    return (
        f"Device: {'; '.join(devices)}. Seconds are of the scoring alone, without metrics. Memory is the peak of the "
        "process (what was there before is in it), or of the GPU."
    )


def _about(records: Sequence[BenchmarkRecord], store: Store, command: str) -> str:
    subjects = {part: len(names) for part, names in store.manifest.subjects.items()}
    healthy = {part: len(store.rows(part, healthy=True)) for part in ("train", "validation")}
    steps = sorted({str(record.training_steps) for record in records if record.training_steps})
    batches = sorted({str(record.batch_size) for record in records if record.batch_size})
    return (
        f"Written by `{command}` with mmccd {__version__}, seed {records[0].seed}, "
        f"split {store.manifest.split_digest[:12]}, store {store.digest[:12]}: {subjects['train']} training, "
        f"{subjects['validation']} validation and {subjects['test']} test subjects ({healthy['train']} and "
        f"{healthy['validation']} healthy slices), {store.size_px} x {store.size_px} pixels, {', '.join(steps)} "
        f"training steps of {', '.join(batches)} slices. What the thresholds guarantee: "
        f"{'; '.join(guarantees_of(records)) or 'no model was scored'}. Intervals of differences are not adjusted for "
        "the number of comparisons, p is, within each table."
    )


def guarantees_of(records: Sequence[BenchmarkRecord]) -> list[str]:
    """What the thresholds of the models of each source guarantee, for readers; only some records have thresholds."""
    cut = [record for record in records if record.guarantee and record.rows]
    return sorted({f"{record.source.upper()}: {record.guarantee}" for record in cut})


def _csv_rows(records: Iterable[BenchmarkRecord]) -> list[dict[str, Any]]:
    """One row per source, contender and test subject, with all that it came from."""
    return [
        {
            "source": record.source,
            "contender": record.contender,
            **{key: float("nan") if value is None else value for key, value in row.items()},
            "seed": record.seed,
            "config_digest": record.config_digest,
            "weights_sha256": record.weights_sha256,
            "split_digest": record.split_digest,
            "store_digest": record.store_digest,
            "device": record.device,
            "mmccd": record.versions.get("mmccd", ""),
            "torch": record.versions.get("torch", ""),
        }
        for record in records
        for row in record.rows
    ]


def _mean(record: BenchmarkRecord, metric: str) -> Interval:
    return mean_interval(record.rows, metric)


def _of_paper(record: BenchmarkRecord, metric: str) -> Interval:
    return mean_interval(record.paper, metric, subject="case")
