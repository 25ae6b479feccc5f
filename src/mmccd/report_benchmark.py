"""The page of a benchmark: who is ahead and how sure that is, as figures first and as tables to sort."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmccd.benchmark_result import HOW_TO_READ, PUBLISHED_METRICS, PUBLISHED_NOTE, honest_table, paired, verdict
from mmccd.benchmark_scores import CURVE_RECALLS
from mmccd.bootstrap import Interval, bootstrap_mean
from mmccd.contenders import BEST, INTENSITIES
from mmccd.errors import DataError
from mmccd.report_charts import Line, Mark, finite_pairs, forest, line_chart
from mmccd.report_page import write_page
from mmccd.report_pictures import data_address

RESULTS = "results.json"
_NEEDED = ("contender", "source", "scoring", "method")
Record = dict[str, Any]


def report_benchmark(folder: Path, output: Path) -> int:
    """Write the page of a folder that `mmccd benchmark` wrote; returns its size in bytes.

    Raises:
        DataError: its results cannot be read.
    """
    records = _records(folder / RESULTS)
    sources = list(dict.fromkeys(str(record["source"]) for record in records))
    first = records[0]
    values = {
        "sources": [_section(folder, source, [r for r in records if r["source"] == source]) for source in sources],
        "subjects": max(len(record.get("rows", [])) for record in records),
        "contenders": len({record["contender"] for record in records}),
        "size": first.get("size", ""),
        "seed": first.get("seed", ""),
        "split": str(first.get("split_digest", ""))[:12],
        "store": str(first.get("store_digest", ""))[:12],
        "versions": first.get("provenance", {}).get("versions", {}),
        "guarantees": sorted({str(record["guarantee"]) for record in records if "guarantee" in record}),
        "reading": HOW_TO_READ.replace("**", "").replace("*", ""),
        "published_note": PUBLISHED_NOTE,
        "best": BEST,
    }
    return write_page(output, "benchmark", values)


def _section(folder: Path, source: str, records: Sequence[Record]) -> dict[str, Any]:
    scored = {record["contender"]: record for record in records if record.get("rows")}
    honest = honest_table(list(scored.values()))
    means = {name: _mean(record["rows"], "auprc") for name, record in scored.items()}
    ordered = [row[0] for row in honest[1:]]
    return {
        "name": source.upper(),
        "auprc": forest([_mark(name, means[name]) for name in ordered], axis="AUPRC"),
        "dice": forest([_mark(name, _mean(scored[name]["rows"], "dice")) for name in ordered], axis="Dice"),
        "curves": [(name, chart) for name in ("square", "evidence") if (chart := _curves(scored, name))],
        "verdict": verdict(scored) if BEST in scored else "",
        "table": honest,
        "against": _against(scored),
        "published": _published(records),
        "cost": _cost(records),
        "montage": _picture(folder / f"montage_{source}.png"),
        "sizes": _picture(folder / f"sizes_{source}.png"),
    }


def _against(scored: dict[str, Record]) -> Markup:
    if BEST not in scored:
        return Markup()
    marks = []
    for name, record in scored.items():
        if name != BEST:
            interval, _ = paired(scored[BEST], record, "auprc")
            marks.append(Mark(name, interval.mean, interval.low, interval.high,
                              "marked" if interval.low > 0 else "plain"))  # fmt: skip
    marks.sort(key=lambda mark: mark.value)
    ends = [0.0, *(mark.low for mark in marks), *(mark.high for mark in marks)]
    zero = [mark for mark in marks if mark.low == mark.low]
    return forest(zero, axis=f"AUPRC of {BEST} less that of ...", low=min(ends), high=max(ends)) if zero else Markup()


def _curves(scored: dict[str, Record], scoring: str) -> Markup:
    lines = []
    for name, record in scored.items():
        precision = record.get("precision_at_recalls")
        if not precision or not (name in INTENSITIES or record["scoring"] == scoring):
            continue
        kind = "marked" if name.startswith("MMCCD") else "baseline" if name in INTENSITIES else "quiet"
        values = [float("nan") if value is None else float(value) for value in precision]
        lines.append(Line(name, *finite_pairs([float(recall) for recall in CURVE_RECALLS], values), kind=kind))
    lines.sort(key=lambda line: line.kind == "marked")  # drawn last: on top
    return line_chart(lines, x_axis="recall", y_axis="precision", square=True) if lines else Markup()


def _published(records: Sequence[Record]) -> list[list[str]]:
    squares = [r for r in records if r.get("published") and r["method"] and r["scoring"] == "square"]
    lines = [[record["contender"], *(str(_mean(record["published"], name)) for name in PUBLISHED_METRICS)]
             for record in squares]  # fmt: skip
    return [["method", *PUBLISHED_METRICS], *sorted(lines, key=lambda line: line[1], reverse=True)] if lines else []


def _cost(records: Sequence[Record]) -> list[list[str]]:
    header = ["method", "parameters", "evaluations per slice", "ms per slice"]
    return [header] + [
        [
            str(record["contender"]),
            f"{record.get('parameters', 0):,}",
            f"{record.get('evaluations_per_slice', 0):,.0f}",
            f"{1000 * float(record.get('seconds_per_slice') or 0):.2f}",
        ]
        for record in records
    ]


def _mark(name: str, interval: Interval) -> Mark:
    kind = "marked" if name == BEST else "baseline" if name in INTENSITIES else "plain"
    return Mark(name, interval.mean, interval.low, interval.high, kind)


def _mean(rows: Sequence[Record], metric: str) -> Interval:
    return bootstrap_mean([float("nan") if row[metric] is None else float(row[metric]) for row in rows])


def _picture(path: Path) -> str:
    return data_address(path.read_bytes()) if path.is_file() else ""


def _records(path: Path) -> list[Record]:
    hint = "run `mmccd benchmark` again: it goes on where it stopped"
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is torn: {error}", hint) from error
    if not isinstance(records, list) or not any(isinstance(r, dict) and r.get("rows") for r in records):
        raise DataError(f"{path} holds no scored method", hint)
    if lacking := [key for key in _NEEDED if any(key not in record for record in records)]:
        raise DataError(f"{path} has records without {', '.join(lacking)}", hint)
    return records
