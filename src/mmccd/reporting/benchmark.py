"""The page of a benchmark: who is ahead and how sure that is, as figures first and as tables to sort."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmccd.comparison.contenders import BEST, INTENSITIES, OURS
from mmccd.comparison.paired import mean_interval, paired, verdict
from mmccd.comparison.pictures import thirds
from mmccd.comparison.record import BenchmarkRecord, read_results
from mmccd.comparison.scores import CURVE_RECALLS
from mmccd.comparison.tables import HOW_TO_READ, PAPER_NOTE, guarantees_of, honest_table, paper_table
from mmccd.data.own_folders import RESULTS
from mmccd.evaluation.intervals import Interval
from mmccd.reporting.charts import Line, Mark, finite_pairs, forest, line_chart
from mmccd.reporting.page import write_page
from mmccd.reporting.planes import data_address


def report_benchmark(folder: Path, output: Path, *, names: bool = True) -> int:
    """Write the page of a folder that `mmccd benchmark` wrote; returns its size in bytes.

    Without ``names`` the montage, in which subjects are named, is left out.

    Raises:
        DataError: its results cannot be read.
    """
    records = read_results(folder / RESULTS)
    sources = list(dict.fromkeys(record.source for record in records))
    first = records[0]
    values = {
        "sources": [
            _section(folder if names else None, source, [record for record in records if record.source == source])
            for source in sources
        ],
        "subjects": max(len(record.rows) for record in records),
        "contenders": len({record.contender for record in records}),
        "size": first.size,
        "seed": first.seed,
        "split": first.split_digest[:12],
        "store": first.store_digest[:12],
        "versions": first.versions,
        "guarantees": guarantees_of(records),
        "reading": HOW_TO_READ.replace("**", "").replace("*", ""),
        "paper_note": PAPER_NOTE,
        "best": BEST,
    }
    return write_page(output, "benchmark", values)


def _section(folder: Path | None, source: str, records: Sequence[BenchmarkRecord]) -> dict[str, Any]:
    scored = {record.contender: record for record in records if record.rows}
    honest = honest_table(list(scored.values()))
    means = {name: mean_interval(record.rows, "auprc") for name, record in scored.items()}
    dice = {name: mean_interval(record.rows, "dice") for name, record in scored.items()}
    ordered = [row[0] for row in honest[1:]]
    return {
        "name": source.upper(),
        "auprc": forest(
            [_mark(name, means[name]) for name in ordered if means[name].n],
            axis="AUPRC",
            guide=means[BEST].mean if BEST in means else None,
        ),
        "dice": forest(
            [_mark(name, dice[name]) for name in ordered if dice[name].n],
            axis="Dice",
            guide=dice[BEST].mean if BEST in dice else None,
        ),
        "curves": [
            (name, chart)
            for scoring, name in {"squared": "squared error", "evidence": "evidence"}.items()
            if (chart := _curves(scored, scoring))
        ],
        "verdict": " ".join(verdict(scored, name) for name in OURS if name in scored),
        "table": honest,
        "against": _against(scored),
        "paper": paper_table(records),
        "cost": _cost(records),
        "montage": _picture(folder / f"montage_{source}.png") if folder else "",
        "sizes": _sizes(scored),
    }


def _against(scored: dict[str, BenchmarkRecord]) -> Markup:
    if BEST not in scored:
        return Markup()
    marks = []
    for name, record in scored.items():
        if name != BEST:
            interval, _ = paired(scored[BEST], record, "auprc")
            marks.append(_mark(name, interval, "marked" if interval.low > 0 else "plain"))
    marks = sorted((mark for mark in marks if mark.value == mark.value), key=lambda mark: mark.value)
    if not marks:
        return Markup()
    low = min(0.0, *(mark.low for mark in marks))
    high = max(0.0, *(mark.high for mark in marks))
    return forest(marks, axis=f"AUPRC of {BEST} less that of ...", low=low, high=high, guide=0.0)


def _curves(scored: dict[str, BenchmarkRecord], scoring: str) -> Markup:
    lines = []
    for name, record in scored.items():
        precision = record.precision_at_recalls
        if not precision or not (name in INTENSITIES or record.scoring == scoring):
            continue
        values = [float("nan") if value is None else float(value) for value in precision]
        lines.append(Line(name, *finite_pairs([float(recall) for recall in CURVE_RECALLS], values), kind=_kind(name)))
    lines.sort(key=_on_top)
    return line_chart(lines, x_axis="recall", y_axis="precision", x_from=(0, 1), y_from=(0, 1)) if lines else Markup()


def _sizes(scored: dict[str, BenchmarkRecord]) -> Markup:
    """Dice against lesion volume, in thirds of the subjects."""
    lines = []
    for name, record in scored.items():
        means = [(_average(third, "lesion_ml"), _average(third, "dice")) for third in thirds(record.rows)]
        if means:
            lines.append(Line(name, [ml for ml, _ in means], [dice for _, dice in means], _kind(name)))
    lines.sort(key=_on_top)
    return line_chart(lines, x_axis="lesion volume, ml", y_axis="Dice", y_from=(0, 1)) if lines else Markup()


def _average(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    return sum(float(row[key]) for row in rows) / len(rows)


def _kind(name: str) -> str:
    return "marked" if name in OURS or name.startswith("MMCCD") else "baseline" if name in INTENSITIES else "quiet"


def _on_top(line: Line) -> bool:
    return line.kind == "marked"  # drawn last


def _cost(records: Sequence[BenchmarkRecord]) -> list[list[str]]:
    header = ["method", "parameters", "evaluations per slice", "ms per slice"]
    return [header] + [
        [
            record.contender,
            f"{record.parameters:,}",
            f"{record.evaluations_per_slice:,.0f}",
            f"{1000 * (record.seconds_per_slice or 0):.2f}",
        ]
        for record in records
    ]


def _mark(name: str, interval: Interval, kind: str = "") -> Mark:
    kind = kind or ("marked" if name == BEST else "baseline" if name in INTENSITIES else "plain")
    known = interval.low == interval.low  # one subject says nothing about the spread
    return Mark(
        name,
        interval.mean,
        interval.low if known else interval.mean,
        interval.high if known else interval.mean,
        kind,
    )


def _picture(path: Path) -> str:
    return data_address(path.read_bytes()) if path.is_file() else ""
