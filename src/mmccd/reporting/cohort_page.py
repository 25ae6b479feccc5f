"""The page of a whole cohort: gathered case by case, so that memory holds a row of each and the pictures of a few."""

import heapq
from dataclasses import replace
from typing import Any

import numpy as np
from markupsafe import Markup

from mmccd.data.problems import Problem
from mmccd.model.card import Card
from mmccd.reporting.article import Drawn
from mmccd.reporting.beside import PagesBeside
from mmccd.reporting.charts import MOST_MARKS, Mark, histogram, strip_chart
from mmccd.reporting.hidden_names import Secrets
from mmccd.reporting.listing import Listed, Predictions
from mmccd.reporting.methods_text import Scored, methods_of_predictions
from mmccd.reporting.page import render
from mmccd.reporting.sheet import Sheet
from mmccd.reporting.table import BADGES, HALF_WRITTEN, NOT_SCORED, SHOWN, Row, Table, widest

SLACK = 4096
"""Bytes by which a page may differ from what was reckoned with: counts, notes, a reference."""


class CohortPage:
    """All that the page says, but for the cases in full.

    Attributes:
        order: Cases, the most unusual first.
        keys: The number of each case in addresses, in the order of names.
        shown: How many are shown by now.
        problems: What is wrong, by name of the case.

    Args:
        predictions: The folder.
        card: Of the model that most were scored with, where it is at hand.
        names: What each case is called.
        secrets: Names that must not be said; None where all may.
        scans_given: Whether scans are shown.
        expert: Whether any case has an expert mask.
        beside: The pages with further cases.
    """

    def __init__(
        self,
        predictions: Predictions,
        card: Card | None,
        names: dict[str, str],
        secrets: Secrets | None,
        beside: PagesBeside,
        *,
        scans_given: bool,
        expert: bool,
    ) -> None:
        self.predictions, self.card, self.names, self.secrets = predictions, card, names, secrets
        self.beside, self.scans_given, self.expert = beside, scans_given, expert
        cases = predictions.cases
        self.order = sorted(cases, key=lambda case: (cases[case].standing.p_value, -cases[case].score))
        self.keys = {case: key for key, case in enumerate(cases, start=1)}
        self.shown, self.problems = 0, dict[str, str]()
        self._scored = predictions.by_model.get(predictions.model)
        self._pages = [0] * len(self.order)  # on which each case of `order` stands; 0 of one that is not shown
        self._done = self._unusual = self._with_findings = 0
        self._table, self._half, self._missing = Table(), Table(), Table()
        for problem in predictions.broken:
            self._add_missing(self._public(problem))
        failed = [self._public(problem) for problem in predictions.failed]
        self._failed = Table.of(Row(one.subject, self._empty, (NOT_SCORED,)) for one in failed)
        self._failures = Table.of(Row(one.subject, (one.what, one.hint or "–")) for one in failed)

    @property
    def healthy(self) -> tuple[float, ...]:
        """Scores of the healthy reference subjects; none where they are not known."""
        if self._scored and self._scored.healthy_scores:
            return self._scored.healthy_scores
        return tuple(self.card.healthy_scores) if self.card else ()

    @property
    def span(self) -> tuple[float, ...]:
        """Ends of the scores of the main model, for one axis in all cases."""
        scores = [one.score for one in self.predictions.cases.values() if self._alike(one) and np.isfinite(one.score)]
        return (min(scores), max(scores)) if scores else (1.0,)

    @property
    def unit(self) -> str:
        """Of the map; empty where it is not known."""
        if self.card is None or self.card.config is None:
            return ""
        return "nats" if self.card.config.scoring.error == "tail" else "squared error"

    def longest_names(self, count: int) -> list[str]:
        """As many names of cases as may be on a page, those that take most."""
        return heapq.nlargest(count, self.names.values(), key=lambda name: len(name.encode()))

    def widest(self, name: str) -> Row:
        """A row that takes as much room as that of this case may."""
        return widest(name, len(self._empty))

    def add(self, drawn: Drawn, number: int) -> None:
        """The next case of `order`.

        Args:
            drawn: What came of it.
            number: Of the page on which it stands in full.
        """
        if drawn.row is None:
            assert drawn.problem is not None, "a case that is not shown has a reason"
            self._add_missing(drawn.problem)
        else:
            if drawn.problem is not None:
                self.problems[drawn.problem.subject] = str(drawn.problem)
            self._table.add(replace(drawn.row, page=number))
            self._pages[self._done] = number
            self.shown += 1
            self._unusual += drawn.unusual
            self._with_findings += drawn.findings > 0
        self._done += 1

    def most_bytes(self) -> int:
        """What the page takes at most without any case in full and without viewers.

        Reckoned by writing it, with rows as wide as they may get.
        """
        table = Table.of(self.widest(self.names[case]) for case in self.order)
        table.first = [self.widest(name) for name in self.longest_names(SHOWN)]
        pages = [10**4] * len(self.order)
        values = self._values(table + self._half + self._failed, self._missing + self._failures, pages)
        shown = {"shown": len(self.order), "pages": 10**4, "articles": [Markup("")], "left_out": ""}
        return len(render("predictions", {**values, **shown}).encode()) + SLACK

    def content(self, sheet: Sheet, max_mb: float) -> bytes:
        """The page, when all cases have been added, with those in full that stand on it."""
        table, missing, cut = self._table + self._half + self._failed, self._missing + self._failures, 0
        values = self._values(table, missing, self._pages) | {"left_out": "", "articles": [""] * len(sheet.drawn)}
        fixed = len(render("predictions", values).encode()) + SLACK
        if fixed + sheet.pictures > sheet.limit and len(missing) > SHOWN:  # more cases were torn than was known
            cut = len(missing) - SHOWN
            missing = Table(missing.first, missing.lines[:SHOWN])
            values |= {"missing_data": missing.data(), "missing_cut": cut}
            fixed = len(render("predictions", values).encode()) + SLACK
        filled = sheet.filled(fixed)
        methods = self._methods(viewer=filled.viewers > 0)
        fewer = self.beside.count > 0 and len(sheet.drawn) < sheet.most
        values |= methods | {"articles": filled.articles, "left_out": filled.notice(sheet, max_mb, fewer=fewer)}
        return render("predictions", values, viewer=filled.viewers > 0).encode()

    @property
    def _empty(self) -> tuple[str, ...]:
        return ("–",) * (8 if self.expert else 7)

    def _public(self, problem: Problem) -> Problem:
        return problem if self.secrets is None else self.secrets.redacted(problem)

    def _add_missing(self, problem: Problem) -> None:
        self.problems[problem.subject] = str(problem)
        self._half.add(Row(problem.subject, self._empty, (HALF_WRITTEN,)))
        self._missing.add(Row(problem.subject, (problem.what, problem.hint or "–")))

    def _alike(self, listed: Listed) -> bool:
        return listed.model == self.predictions.model

    def _values(self, table: Table, missing: Table, pages: list[int]) -> dict[str, Any]:
        scored, first = self._scored, self.predictions.cases[self.order[0]] if self.order else None
        chart, counted = self._chart(pages)
        return {
            "rows": table.first,
            "rows_data": table.data(self.beside.pattern),
            "pattern": self.beside.pattern,
            "badges": BADGES,
            "shown": self.shown,
            "pages": self.beside.count,
            "folder": self.beside.folder.name,
            "missing": missing.first,
            "missing_data": missing.data(),
            "missing_count": len(missing),
            "missing_cut": 0,
            "source": self.predictions.source,
            "healthy": bool(self.healthy),
            "healthy_subjects": first.standing.healthy if first else 0,
            "chosen_on": scored.first.p_value_of.chosen_on if scored else "",
            "score_definition": scored.first.score_definition if scored else "high end of a map",
            "chart": chart,
            "counted": counted,
            "threshold": scored.first.threshold_origin if scored else None,
            "scans_given": self.scans_given,
            "expert": self.expert,
            "model": _model_words(scored, self.card) if scored else "",
            "unusual": self._unusual,
            "with_findings": self._with_findings,
            **self._methods(viewer=True),
        }

    def _methods(self, *, viewer: bool) -> dict[str, Any]:
        if self._scored is None:
            return {"methods": "", "references": []}
        methods, references = methods_of_predictions(self._scored, self.card, expert=self.expert, viewer=viewer)
        return {"methods": methods, "references": references}

    def _chart(self, pages: list[int]) -> tuple[Markup, bool]:
        """The scores of the cases that are shown and alike, and whether they are counted rather than marked."""
        cases, axis = self.predictions.cases, "score of the scan"
        shown = [(case, page) for case, page in zip(self.order, pages, strict=True)
                 if page and self._alike(cases[case])]  # fmt: skip
        if not shown:
            return Markup(""), False
        if len(shown) > MOST_MARKS:
            scores: tuple[list[float], list[float]] = ([], [])
            for case, _ in shown:
                scores[cases[case].standing.unusual].append(cases[case].score)
            return histogram(*scores, self.healthy, axis=axis), True
        marks = []
        for case, page in sorted(shown, key=lambda one: -cases[one[0]].score):
            score, kind = cases[case].score, "marked" if cases[case].standing.unusual else "plain"
            place = self.beside.address(page) if page > 1 else ""
            marks.append(Mark(self.names[case], score, score, score, kind, f"{place}#case-{self.keys[case]}"))
        return strip_chart(marks, self.healthy, axis=axis), False


def _model_words(scored: Scored, card: Card | None) -> str:
    record = scored.first
    through = f", {record.source} → {', '.join(record.model.targets)}" if record.model.targets else ""
    steps = f", {card.training.steps:,} steps" if card and card.training else ""
    return f"{record.model.method}{through}{steps}"
