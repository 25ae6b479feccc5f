"""Tables of a benchmark."""

from mmccd.comparison.tables import guarantees_of, honest_table, paper_table, write_results


def test_results_of_a_version_without_a_column_are_a_table_without_it(done):
    _, result, _ = done
    older = [
        record.model_copy(
            update={"rows": [{k: v for k, v in row.items() if k != "relative_dice"} for row in record.rows]}
        )
        for record in result.records
    ]
    (usual, *_), (shorter, *lines) = honest_table(result.records), honest_table(older)
    assert set(usual) - set(shorter) == {"relative_dice"}
    assert {len(line) for line in lines} == {len(shorter)}


def test_of_healthy_subjects_the_page_gives_the_share_that_is_marked(store, done, tmp_path):
    _, result, _ = done
    row = {"subject": "a", "lesion_ml": 0.0, "auprc": None, "healthy_marked": 0.125}
    healthy = [record.model_copy(update={"kinds": {"healthy": [row]}}) for record in result.records]
    source = done[0] / "scores"
    (tmp_path / "scores").symlink_to(source)  # the maps, for the montage
    page = write_results(tmp_path, healthy, store, "mmccd benchmark", ["healthy"]).page.read_text()
    assert page.count("| 0.125 marked |") == len(healthy)


def test_the_papers_table_has_squared_errors_alone_the_highest_dice_first(record_of):
    def row(dice):
        return {"case": "a"} | dict.fromkeys(("dice", "auc", "jaccard", "assd", "sensitivity", "precision"), dice)

    named = {"low": 0.25, "high": 0.75, "unknown": None, "evidence": 0.9, "intensity": 0.9}
    records = [record_of(name, [0.5]).model_copy(update={"paper": [row(dice)]}) for name, dice in named.items()]
    records[-2] = records[-2].model_copy(update={"scoring": "evidence"})
    records[-1] = records[-1].model_copy(update={"method": "", "scoring": ""})
    header, *lines = paper_table(records)
    assert header[:2] == ["method", "dice"]
    assert [line[0] for line in lines] == ["high", "low", "unknown"]
    assert lines[0][1].startswith("0.750")


def test_guarantees_are_those_of_records_with_thresholds(record_of):
    marked = record_of("a", [0.5]).model_copy(update={"guarantee": "little is marked"})
    sampled = marked.model_copy(update={"rows": [], "guarantee": "nobody cuts here"})
    assert guarantees_of([marked, marked, sampled, record_of("intensity", [0.5])]) == ["FLAIR: little is marked"]
