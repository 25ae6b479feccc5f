"""The pages of a folder of predictions: all cases in one table, the most unusual in full, the rest on pages beside."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmccd.data.layouts.entities import Selection
from mmccd.data.problems import Problem
from mmccd.errors import ConfigError, DataError
from mmccd.model.card import Card
from mmccd.model.folder import builtin_models, read_card
from mmccd.reporting.article import CaseDrawer, Drawn, Task
from mmccd.reporting.beside import pages_beside
from mmccd.reporting.cohort_page import CohortPage
from mmccd.reporting.hidden_names import Secrets, names_of_cases
from mmccd.reporting.listing import read_predictions
from mmccd.reporting.more_pages import MorePages
from mmccd.reporting.scans import Found, Scans
from mmccd.reporting.sheet import Sheet, share_of
from mmccd.system.progress import ProgressCallback, no_progress, of_case
from mmccd.system.workers import chosen_workers, each_in_order

MB = 1_000_000


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
        viewer: Whether the pages have interactive viewers.
        max_mb: What a page may weigh; viewers get coarser, then fewer, then fewer cases stand in full on a page.
        cases_per_page: How many cases stand in full on a page; the most unusual on the first.
        workers: Processes of one thread each; the pages are the same for any number. None takes as many as cores are
            idle where there are cases enough.
    """

    scans: tuple[Path, ...] = ()
    layout: str = "auto"
    select: Selection = field(default_factory=dict)
    brain: Path | None = None
    model: Path | None = None
    anonymize: bool = False
    viewer: bool = True
    max_mb: float = 30.0
    cases_per_page: int = 50
    workers: int | None = None


@dataclass(frozen=True)
class Written:
    """What came of a page.

    Attributes:
        path: Of the page.
        size: In bytes.
        cases: How many are shown.
        problems: Case to what is wrong with it; the page says the same.
        pages: How many lie beside it, with further cases in full.
    """

    path: Path
    size: int
    cases: int
    problems: dict[str, str]
    pages: int = 0


def report_predictions(
    folder: Path, output: Path, settings: Settings, *, progress: ProgressCallback = no_progress
) -> Written:
    """Write the page of a folder of predictions, and pages beside it where not all cases fit onto it.

    Raises:
        DataError: the folder holds no case at all, or scans were given that are not there.
        ConfigError: the page would be larger than is allowed, were it with one case; or something else lies where the
            pages beside it would.
    """
    predictions = read_predictions(folder)
    if not predictions.cases and not predictions.broken and not predictions.failed:
        raise DataError(f"{folder} holds no case", "give the folder that `mmccd predict` wrote")
    if settings.cases_per_page < 1:
        raise ConfigError(f"{settings.cases_per_page} cases per page, expected 1 at least", "for example 50")
    workers = chosen_workers(settings.workers, len(predictions.cases))
    scans = None
    if settings.scans and predictions.cases:
        scans = Scans.found_in(
            settings.scans, predictions.source, layout=settings.layout, brain=settings.brain, select=settings.select
        )
    found: dict[str, Found | Problem] = {}
    if scans is not None:
        found = scans.of_all({case: listed.scan for case, listed in predictions.cases.items()}, workers)
    every = (*predictions.cases, *(problem.subject for problem in (*predictions.broken, *predictions.failed)))
    names = names_of_cases(set(every), anonymize=settings.anonymize)
    secrets = _secrets(scans, names) if settings.anonymize else None
    card = _card_of(predictions.model, settings.model)
    expert = any(isinstance(one, Found) and one.outlined is not None for one in found.values())
    given = scans is not None
    del scans  # thousands of paths that are of no use any more
    with pages_beside(output) as beside:
        page = CohortPage(predictions, card, names, secrets, beside, scans_given=given, expert=expert)
        return _written(page, found, settings, workers, progress)


def _written(
    page: CohortPage,
    found: dict[str, Found | Problem],
    settings: Settings,
    workers: int,
    progress: ProgressCallback,
) -> Written:
    limit, most, total = int(settings.max_mb * MB), settings.cases_per_page, len(page.order)
    if total > most:
        page.beside.check()
    first = sheet = Sheet(limit, page.most_bytes(), most)
    more = MorePages(page, first, settings.max_mb)
    shares = [share_of(limit, fixed, min(most, total)) for fixed in (first.fixed, more.fixed)]
    drawer = CaseDrawer(
        page.predictions.folder, page.predictions.model, page.healthy, page.span, page.unit, page.expert,
        settings.viewer, page.secrets,
    )  # fmt: skip
    tasks = _tasks(page, found, lambda place: shares[place >= most])
    with each_in_order(drawer, tasks, workers) as answers:
        for done, (task, drawn) in enumerate(answers):
            progress(of_case(task.name), done, total)
            if drawn.row is not None and not sheet.fits(drawn):
                if not first.drawn:
                    raise _too_small(settings.max_mb, first.least(drawn))
                following = more.sheet()
                if not following.fits(drawn):
                    drawn = _too_large(task.name, following.least(drawn))
                else:
                    if sheet is not first:
                        more.write(sheet, last=False)
                    sheet = following
            if drawn.row is not None:
                sheet.add(drawn)
            page.add(drawn, number=1 if sheet is first else more.number)
    progress("done", total, total)
    if sheet is not first:
        more.write(sheet, last=True)
    content = page.content(first, settings.max_mb)
    if len(content) > limit:
        raise _too_small(settings.max_mb, len(content))
    page.beside.publish(content)
    return Written(page.beside.page, len(content), page.shown, page.problems, page.beside.count)


def _tasks(page: CohortPage, found: dict[str, Found | Problem], share: Callable[[int], int]) -> Iterator[Task]:
    for place, case in enumerate(page.order):
        yield Task(case, page.names[case], page.keys[case], found.get(case), share(place))


def _too_large(name: str, least: int) -> Drawn:
    """Of a case that is larger than a page of its own may be."""
    what = "it is not shown: with its pictures alone a page would be larger than --max-mb"
    return Drawn(None, problem=Problem(name, what, f"--max-mb {_mb(least)} or more"))


def _too_small(max_mb: float, least: int) -> ConfigError:
    what = f"--max-mb {max_mb:g} is too small for the page: its table and its first case take {least / MB:.2f} MB"
    return ConfigError(what, f"--max-mb {_mb(least)} or more")


def _mb(size: int) -> str:
    return f"{math.ceil(size / MB * 10) / 10:g}"


def _secrets(scans: Scans | None, names: dict[str, str]) -> Secrets:
    others, files = scans.names() if scans is not None else (set(), set())
    return Secrets(dict.fromkeys(others, "another case") | names, dict.fromkeys(files, "a file"))


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
