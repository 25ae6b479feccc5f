"""The page of a benchmark, from records as `mmccd benchmark` writes them."""

import json
import re

import numpy as np
import pytest

from mmccd.comparison.contenders import BEST
from mmccd.errors import DataError
from mmccd.reporting.benchmark import report_benchmark


def record(contender, scoring, auprc, **more):
    rows = [
        {"subject": f"s{i}", "lesion_ml": 10.0 * (i + 1), "auprc": auprc + 0.02 * i, "dice": auprc - 0.1,
         "oracle_dice": auprc, "lesion_f1": 0.2, "healthy_marked": 0.05, "healthy_alarm": 0.0}
        for i in range(6)
    ]  # fmt: skip
    paper = [{"case": "a"} | dict.fromkeys(("dice", "auc", "jaccard", "assd", "sensitivity", "precision"), 0.5)]
    return {
        "contender": contender, "scoring": scoring, "method": "" if "intensity" in contender else "x",
        "source": "flair", "size": "small", "seed": 0, "rows": rows, "paper_protocol": paper, "seconds_per_slice": 0.01,
        "precision_at_recalls": list(np.linspace(1, 0, 101)), "split_digest": "a" * 64, "store_digest": "b" * 64,
        "provenance": {"versions": {"mmccd": "0.1.0", "torch": "2.13"}}, "guarantee": "at most 0.1 of the brain",
    } | more  # fmt: skip


RECORDS = [
    record("intensity", "", 0.5),
    record(BEST, "evidence", 0.8),
    record("A <b>", "squared", 0.3),
    record("no curve", "squared", 0.2, precision_at_recalls=[]),
]


@pytest.fixture
def page_of(tmp_path):
    def call(records, **settings):
        (tmp_path / "results.json").write_text(records if isinstance(records, str) else json.dumps(records))
        report_benchmark(tmp_path, tmp_path / "page.html", **settings)
        return (tmp_path / "page.html").read_text()

    return call


def test_methods_are_ordered_by_auprc_and_ours_is_marked(page_of):
    page = page_of(RECORDS)

    table = page.partition("FLAIR: all methods")[2].partition("</table>")[0]
    assert re.findall(r'<th scope="row">([^<]*)</th>', table) == [BEST, "intensity", "A &lt;b&gt;", "no curve"]
    assert table.count("marked-row") == 1
    assert "0.850" in table  # mean of 0.80 to 0.90
    assert "3 of 3 are behind it" in page
    assert "A <b>" not in page


def test_figures_tables_and_their_reading_are_there(page_of):
    page = page_of(RECORDS)

    for title in (
        "AUPRC",
        "Paired differences",
        "Precision and recall, scored by squared error",
        "Dice by lesion volume",
        "The paper's protocol (oracle)",
        "Cost",
    ):
        assert f"<h3>{title}</h3>" in page
    assert not re.search(r"\bnan\b", page.partition("<main")[2].partition("</main>")[0])
    assert "95 % bootstrap" in page
    assert "FLAIR: at most 0.1 of the brain" in page


def test_results_of_an_earlier_version_give_the_same_page(page_of):
    def earlier(values):
        named = {key: value for key, value in values.items() if key != "paper_protocol"}
        scoring = {"squared": "square"}.get(values["scoring"], values["scoring"])
        contender = "MMCCD best" if values["contender"] == BEST else values["contender"]
        return named | {"published": values["paper_protocol"], "scoring": scoring, "contender": contender}

    assert page_of([earlier(one) for one in RECORDS]) == page_of(RECORDS)


def test_the_montage_is_shown_unless_names_are_to_be_left_out(page_of, tmp_path):
    (tmp_path / "montage_flair.png").write_bytes(b"\x89PNG")

    assert "data:image/png" in page_of(RECORDS)
    assert "data:image/png" not in page_of(RECORDS, names=False)


def test_a_single_subject_and_no_mmccd_is_still_a_page(page_of):
    alone = record("DAE", "squared", 0.4)
    alone["rows"] = alone["rows"][:1]

    page = page_of([alone])

    assert "Paired differences" not in page
    assert "DAE" in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "is torn"),
        ("[]", "no scored method"),
        ('[{"rows": [1]}]', "a record of .* lacks method, source"),
        ('[{"rows": [1], "contender": "a", "method": "", "scoring": "", "source": "flair"}]', "is damaged: rows"),
    ],
)
def test_results_that_cannot_be_read_are_refused(page_of, text, said):
    with pytest.raises(DataError, match=said):
        page_of(text)
