"""A cohort too large for one page: all cases in the table, the most unusual in full, the rest on pages beside."""

import json
import re
import shutil

import pytest

from mmccd.errors import ConfigError
from mmccd.reporting.predictions import Settings, report_predictions
from mmccd.reporting.table import SHOWN

CASES = 7


@pytest.fixture(scope="module")
def cohort(predictions_folder, phantom_folder, tmp_path_factory):
    """Seven copies of one case and of its scan, each more unusual than the one before."""
    root = tmp_path_factory.mktemp("cohort")
    return copies(predictions_folder, phantom_folder, root, CASES)


def copies(predictions_folder, phantom_folder, root, count):
    folder, scans = root / "predictions", root / "scans"
    folder.mkdir()
    scans.mkdir()
    record = json.loads((predictions_folder / "Phantom_0007.json").read_text())
    for number in range(count):
        name = f"Doe_{number}"
        for end in ("_anomaly.nii.gz", "_mask.nii.gz"):
            shutil.copy(predictions_folder / f"Phantom_0007{end}", folder / f"{name}{end}")
        (folder / f"{name}.json").write_text(json.dumps(record | {"case": name, "score": 1.0 + number}))
        shutil.copy(phantom_folder / "Phantom_0007" / "Phantom_0007_flair.nii.gz", scans / f"{name}.nii.gz")
    return folder, scans


@pytest.fixture
def write(cohort, tmp_path):
    """Write the pages; what came of it, and the text of each by its name."""

    def call(folder=cohort[0], **settings):
        output = tmp_path / "report.html"
        written = report_predictions(folder, output, Settings(scans=(cohort[1],), **settings))
        texts = [output.read_text()]
        for number in range(2, 2 + written.pages):
            texts.append((tmp_path / "report_pages" / f"page-{number}.html").read_text())
        return written, texts

    return call


def in_full(page):
    return re.findall(r'<h3 id="case-\d+-title">([^<]*)</h3>', page)


def row_links(page):
    table = page.partition('<div class="card flush table-card" id="all">')[2].partition("</table>")[0]
    return dict(re.findall(r'<a href="([^"]*)">([^<]*)</a>', table))


def test_the_most_unusual_stand_on_the_page_and_the_rest_on_pages_beside_it(write, tmp_path):
    written, pages = write(cases_per_page=3, workers=1)

    assert (written.cases, written.pages, written.problems) == (CASES, 2, {})
    assert [in_full(page) for page in pages] == [["Doe_6", "Doe_5", "Doe_4"], ["Doe_3", "Doe_2", "Doe_1"], ["Doe_0"]]
    assert "Scans 4 to 6 of 7" in pages[1]
    links = row_links(pages[0])
    assert len(links) == CASES
    for link, name in links.items():
        file, _, key = link.partition("#")
        there = (tmp_path / file if file else tmp_path / "report.html").read_text()
        assert f'<h3 id="{key}-title">{name}</h3>' in there
        assert f'id="{key}-map"' in there  # its viewer
    for page, neighbours in (
        (pages[1], {"../report.html", "page-3.html"}),
        (pages[2], {"../report.html", "page-2.html"}),
    ):
        assert set(re.findall(r'href="([^"#]*html)"', page)) == neighbours
        assert set(row_links(page).values()) == set(in_full(page))
        assert all(link.startswith("#") for link in row_links(page))


def test_one_page_is_one_file(write, tmp_path):
    write(cases_per_page=2, workers=1)
    written, pages = write(workers=1)

    assert written.pages == 0
    assert len(in_full(pages[0])) == CASES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html"]
    assert "page-" not in pages[0].partition("<main")[2]


def test_pages_are_the_same_whatever_the_number_of_processes(write):
    assert write(cases_per_page=3, workers=2)[1] == write(cases_per_page=3, workers=1)[1]


def test_pictures_and_viewers_together_keep_the_limit(write, monkeypatch):
    """Coarser viewers, fewer viewers, none, and then fewer cases: said on the page each time."""
    monkeypatch.setattr("mmccd.reporting.viewer.COARSEST_MM", 8.0)  # voxels of the phantom are 4 mm
    everyone = [f"Doe_{number}" for number in reversed(range(CASES))]

    def within(size):
        """What is on the page: sizes of voxels, viewers, and pages beside it."""
        written, pages = write(workers=1, max_mb=size / 1e6)
        assert all(len(page.encode()) <= size for page in pages)
        assert [name for page in pages for name in in_full(page)] == everyone
        voxels = re.findall(r"all slices, ([\d.]+) mm voxels", pages[0])
        lacking = len(in_full(pages[0])) - len(voxels)
        assert pages[0].count("No viewer: the page would be too large") == lacking
        assert ("(<code>--max-mb</code>)" in pages[0]) == (lacking > 0 or written.pages > 0)
        return written.size, set(voxels), len(voxels), written.pages

    whole, *fine = within(30e6)
    assert fine == [{"4"}, CASES, 0]
    coarser, *coarse = within(whole - 50_000)
    assert coarse == [{"8"}, CASES, 0]
    _, voxels, some, beside = within(coarser - 15_000)
    assert (voxels, beside) == ({"8"}, 0)
    assert 0 < some < CASES
    bare, *none = within(1e6)
    assert none == [set(), 0, 0]
    assert within(bare - 20_000)[3] == 1


def test_a_limit_that_is_too_small_for_anything_is_refused_with_the_least_that_works(write, tmp_path):
    with pytest.raises(ConfigError, match=r"--max-mb 0\.02 is too small") as caught:
        write(workers=1, max_mb=0.02)
    assert list(tmp_path.iterdir()) == []
    least = float(re.search(r"--max-mb ([\d.]+) or more", caught.value.hint)[1])

    written, pages = write(workers=1, max_mb=least)

    assert written.cases == CASES
    assert all(len(page.encode()) <= least * 1e6 for page in pages)
    with pytest.raises(ConfigError, match="too small"):
        write(workers=1, max_mb=least - 0.1)


def test_numbered_cases_are_so_on_all_pages_and_in_the_names_of_files(write, cohort, tmp_path):
    folder = shutil.copytree(cohort[0], tmp_path / "in")
    (folder / "Doe_3_mask.nii.gz").write_bytes(b"\x1f\x8b torn")
    record = json.loads((folder / "Doe_1.json").read_text())
    (folder / "Doe_1.json").write_text(json.dumps(record | {"warnings": ["Doe_1.nii.gz is odd, as is Doe_2"]}))

    written, pages = write(folder, cases_per_page=2, anonymize=True, workers=2)

    assert set(written.problems) == {"case 04"}
    assert not any("Doe_" in page for page in pages)
    assert any("a file is odd, as is case 03" in page for page in pages)
    shutil.rmtree(folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "page-2.html", "page-3.html", "report.html", "report_pages",
    ]  # fmt: skip


def test_a_case_that_cannot_be_read_leaves_its_place_to_the_next(write, cohort, tmp_path):
    folder = shutil.copytree(cohort[0], tmp_path / "in")
    for name in ("Doe_6", "Doe_2"):
        (folder / f"{name}_anomaly.nii.gz").write_bytes(b"\x1f\x8b torn")

    written, pages = write(folder, cases_per_page=3, workers=1)

    assert [in_full(page) for page in pages] == [["Doe_5", "Doe_4", "Doe_3"], ["Doe_1", "Doe_0"]]
    assert sorted(written.problems) == ["Doe_2", "Doe_6"]
    assert written.cases == 5
    assert pages[0].count("half-written</span>") == 2


def test_many_rows_are_data_for_the_script(write, cohort, tmp_path):
    folder = shutil.copytree(cohort[0], tmp_path / "in")
    failed = [f"lost{number},failed,it does not exist,check the path\n" for number in range(2 * SHOWN)]
    (folder / "summary.csv").write_text("case,status,error,hint\n" + "".join(failed))

    _, (page, *_) = write(folder, cases_per_page=3, workers=1)

    for name, count in (("all", CASES + 2 * SHOWN), ("missing-scans", 2 * SHOWN)):
        table = page.partition(f'id="{name}">')[2].partition("</table>")[0]
        assert table.count("<tr") == SHOWN + 1
        rows = json.loads(re.search(rf'<script type="application/json" id="{name}-rows">([^<]*)<', page)[1])["rows"]
        assert len(rows) == count
    assert rows[-1] == [f"lost{2 * SHOWN - 1}", 0, 1, None, "it does not exist", "check the path"]


def test_a_place_that_is_taken_is_refused_before_anything_is_done(write, tmp_path):
    (tmp_path / "report_pages").write_text("mine")

    with pytest.raises(ConfigError, match="report_pages is a file"):
        write(cases_per_page=3, workers=1)
    with pytest.raises(ConfigError, match="0 cases per page"):
        write(cases_per_page=0, workers=1)

    assert [path.name for path in tmp_path.iterdir()] == ["report_pages"]


def test_scores_of_very_many_are_counted_in_the_chart(write, monkeypatch):
    monkeypatch.setattr("mmccd.reporting.cohort_page.MOST_MARKS", 3)

    _, (page, *_) = write(cases_per_page=3, workers=1)

    chart = page.partition('<svg class="chart"')[2].partition("</svg>")[0]
    assert "<circle" not in chart
    assert sum(int(count) for count in re.findall(r"<title>(\d+) scans?</title>", chart)) == CASES
    assert "A bar counts the scans" in page


def test_viewers_that_fill_their_shares_all_fit(write, monkeypatch):
    """What stands around the data of a viewer is a part of its share."""
    monkeypatch.setattr("mmccd.reporting.viewer.COARSEST_MM", 8.0)
    whole = write(workers=1)[0].size
    chosen = set()
    for less in range(0, 80_000, 4_000):
        _, (page, *_) = write(workers=1, max_mb=(whole + 8_000 - less) / 1e6)
        chosen.add(tuple(re.findall(r"all slices, ([\d.]+) mm voxels", page)))
    assert chosen >= {("4",) * CASES, ("8",) * CASES}
    assert {len(one) for one in chosen} == {CASES}
