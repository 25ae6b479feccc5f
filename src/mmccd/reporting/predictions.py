"""The page of a folder of predictions: a cohort at a glance, then case by case."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmccd.data.case_record import CaseRecord
from mmccd.data.layouts.entities import Selection
from mmccd.data.problems import Problem
from mmccd.data.pseudonyms import redact
from mmccd.errors import DataError, MmccdError
from mmccd.model.card import Card
from mmccd.model.folder import builtin_models, read_card
from mmccd.reporting.case import CaseView, view_of
from mmccd.reporting.charts import Mark, small_strip, strip_chart
from mmccd.reporting.methods_text import methods_of_predictions
from mmccd.reporting.page import NIIVUE, asset, write_page
from mmccd.reporting.scans import Scans, load_shown, read_predictions
from mmccd.system.progress import ProgressCallback, no_progress

PICTURES_PER_CASE = 260_000
"""Characters that are set aside for the pictures and text of a case, beside its viewer's data."""
LEAST_BUDGET = 20_000


@dataclass(frozen=True)
class Settings:
    """What may be chosen of a page of predictions.

    Attributes:
        scans: Files, folders or cohorts with the scans that were predicted; empty shows maps and masks alone.
        layout: Layout of the cohorts.
        select: Which of several files for one role is meant in a cohort.
        brain: Brain mask of a single scan, as it was given to `predict`.
        model: Folder of the model, for its healthy scores and its training; those that ship are found without.
        anonymize: Number the cases instead of naming them.
        viewer: Whether the page has an interactive viewer.
        max_mb: What the page may weigh; viewers get coarser, then fewer.
    """

    scans: tuple[Path, ...] = ()
    layout: str = "auto"
    select: Selection = field(default_factory=dict)
    brain: Path | None = None
    model: Path | None = None
    anonymize: bool = False
    viewer: bool = True
    max_mb: float = 30.0


@dataclass(frozen=True)
class Secrets:
    """Names that a page of numbered cases must not hold, and what stands in their place."""

    cases: Mapping[str, str]
    files: Mapping[str, str]

    def redact(self, text: str) -> str:
        """A message without them."""
        return redact(text, self.cases, self.files)

    def redacted(self, problem: Problem) -> Problem:
        """A problem without them."""
        return Problem(self.cases[problem.subject], self.redact(problem.what), self.redact(problem.hint))


@dataclass(frozen=True)
class Written:
    """What came of a page.

    Attributes:
        path: Of the page.
        size: In bytes.
        cases: How many it shows.
        problems: Case to what is wrong with it; the page says the same.
    """

    path: Path
    size: int
    cases: int
    problems: dict[str, str]


def report_predictions(
    folder: Path, output: Path, settings: Settings, *, progress: ProgressCallback = no_progress
) -> Written:
    """Write the page of a folder of predictions.

    Raises:
        DataError: the folder holds no case at all, or scans were given that are not there.
    """
    predictions = read_predictions(folder)
    records = predictions.records
    if not records and not predictions.broken and not predictions.failed:
        raise DataError(f"{folder} holds no case", "give the folder that `mmccd predict` wrote")
    source = Counter(record.source for record in records.values()).most_common(1)[0][0] if records else ""
    scans = None
    if settings.scans and records:
        scans = Scans.found_in(
            settings.scans, source, layout=settings.layout, brain=settings.brain, select=settings.select
        )
    main = _main_model(list(records.values()))
    card = _card_of(main, settings.model)
    everyone = sorted({*records, *(problem.subject for problem in (*predictions.broken, *predictions.failed))})
    names = _names(everyone, anonymize=settings.anonymize)
    others, files = scans.names() if scans is not None else (set(), set())
    secrets = Secrets(dict.fromkeys(others, "another case") | names, dict.fromkeys(files, "a file"))
    budget = _budget(settings, len(records))
    cases: list[CaseView] = []
    problems = list(predictions.broken)
    for done, (case, record) in enumerate(records.items()):
        progress(names[case], done, len(records))
        try:
            shown = load_shown(predictions, case, scans)
        except MmccdError as error:
            problems.append(Problem.of(case, error))
            continue
        view = view_of(names[case], f"case-{done + 1}", record, shown, budget=budget)
        if shown.problem is not None:
            problems.append(shown.problem)
        if record.origin.get("model") != main:
            view.warnings.append("scored by another model than most cases here: do not compare its score with theirs")
        if budget is not None and view.embedded is None:
            view.warnings.append("no viewer: the page would be too large (--max-mb)")
        if settings.anonymize:
            view.warnings = [secrets.redact(text) for text in view.warnings]
            view.problem = secrets.redacted(view.problem) if view.problem else None
        cases.append(view)
    progress("done", len(records), len(records))
    if settings.anonymize:
        problems = [secrets.redacted(problem) for problem in problems]
        failed = [secrets.redacted(problem) for problem in predictions.failed]
    else:
        failed = list(predictions.failed)
    values = _values(cases, problems, failed, source, card, main, scans is not None)
    viewer = any(case.embedded for case in cases)
    size = write_page(output, "predictions", values, viewer=viewer)
    return Written(output, size, len(cases), {problem.subject: str(problem) for problem in problems})


def _values(
    cases: list[CaseView],
    problems: Sequence[Problem],
    failed: Sequence[Problem],
    source: str,
    card: Card | None,
    main: str,
    scans_given: bool,
) -> dict[str, Any]:
    cases.sort(key=lambda case: (case.p_value, -case.score))
    alike = [case for case in cases if case.record.origin.get("model") == main]
    healthy = _healthy_scores(alike, card)
    for case in cases:
        same = case in alike
        case.strip = small_strip(case.score, healthy if same else [], [one.score for one in alike if same] or [1.0])
    marks = [
        Mark(case.name, case.score, case.score, case.score, "marked" if case.unusual else "plain", f"#{case.key}")
        for case in sorted(alike, key=lambda case: -case.score)
    ]
    by_case = {problem.subject: problem for problem in problems}
    methods, references = "", list[str]()
    if alike:
        methods, references = methods_of_predictions(
            [case.record for case in alike], card, expert=any(case.expert for case in cases),
            viewer=any(case.embedded for case in cases),
        )  # fmt: skip
    return {
        "cases": cases,
        "problems": [problem for problem in by_case.values() if problem.subject not in {case.name for case in cases}],
        "failed": failed,
        "source": source,
        "healthy": healthy,
        "chart": strip_chart(marks, healthy, axis="score of the scan") if marks else "",
        "threshold": alike[0].record.threshold_origin if alike else None,
        "unit": _unit(card),
        "scans_given": scans_given,
        "expert": any(case.expert for case in cases),
        "model": _model_words(alike, card),
        "unusual": sum(case.unusual for case in cases),
        "with_findings": sum(case.count > 0 for case in cases),
        "methods": methods,
        "references": references,
    }


def _main_model(records: Sequence[CaseRecord]) -> str:
    counted = Counter(record.origin.get("model", "") for record in records).most_common(1)
    return counted[0][0] if counted else ""


def _card_of(digest: str, given: Path | None) -> Card | None:
    """The card of the model that most cases were scored with: of the folder given, or of one that ships.

    Raises:
        ModelError: the one that is given is no model.
        DataError: the model that is given is another one.
    """
    for name in [given] if given is not None else list(builtin_models()):
        card = read_card(name)
        if digest and card.digest == digest:
            return card
    if given is not None and digest:
        raise DataError(
            f"{given} is not the model that these cases were scored with", "give that one, or leave --model out"
        )
    return None


def _healthy_scores(cases: Sequence[CaseView], card: Card | None) -> list[float]:
    for case in cases:
        if scores := case.record.p_value_of.healthy_scores:
            return list(scores)
    return list(card.healthy_scores) if card else []


def _unit(card: Card | None) -> str:
    if card is None or card.config is None:
        return ""
    return "nats" if card.config.scoring.error == "tail" else "squared error"


def _model_words(cases: Sequence[CaseView], card: Card | None) -> str:
    if not cases:
        return ""
    record = cases[0].record
    through = f", {record.source} → {', '.join(record.model.targets)}" if record.model.targets else ""
    steps = f", {card.training.steps:,} steps" if card and card.training else ""
    return f"{record.model.method}{through}{steps}"


def _names(cases: Sequence[str], *, anonymize: bool) -> dict[str, str]:
    if not anonymize:
        return {case: case for case in cases}
    digits = max(2, len(str(len(cases))))
    return {case: f"case {index:0{digits}d}" for index, case in enumerate(cases, start=1)}


def _budget(settings: Settings, cases: int) -> int | None:
    """Characters for the viewer's data of each case; None where there is no viewer to be had."""
    if not settings.viewer or not cases:
        return None
    left = settings.max_mb * 1e6 - len(asset(NIIVUE)) - PICTURES_PER_CASE * cases
    return max(LEAST_BUDGET, int(left / cases))
