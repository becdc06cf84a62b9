from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from semantic_tokens.report.tables.paper_comparison import (
    IDENTITY,
    compare,
    orders,
    read_table,
    repeated_rows,
    write_comparison,
)
from semantic_tokens.report.tables.table5 import columns_of

PAPER = Path(__file__).resolve().parents[2] / "config/paper_table5.csv"
KINDS = ("token_classification", "question_answering", "pair_classification", "reranking")
COLUMNS = {kind: (kind, kind) for kind in (*KINDS, "retrieval")}


def as_ours(published: pd.DataFrame) -> pd.DataFrame:
    """The paper's table with the other columns of ours."""
    groupings = ["ungrouped" if r == 1 else f"kmeans-cosine-{r}" for r in published["ratio"]]
    alignments = ["clsa-a" if clsa == "yes" else "unaligned" for clsa in published["clsa"]]
    return published.assign(alignment=alignments, grouping=groupings, training="all-languages")


def test_the_paper_has_five_rows_that_repeat_others():
    published = read_table(PAPER)
    repeated = published.loc[sorted(repeated_rows(published)), ["figure", "dim", "ratio"]]
    expected = [["figure5", 32, ratio] for ratio in (0.4, 0.2, 0.1, 0.05)] + [["figure6", 32, 1.0]]
    assert len(published) == 45
    assert repeated.values.tolist() == expected


def test_the_paper_compared_with_itself_under_other_names():
    published = read_table(PAPER)
    measured = published.replace({"backbone": {"mbert": "mine"}, "dim": {768: 384, 32: 16}})
    table = compare(as_ours(measured), published, COLUMNS)
    assert len(table) == 45 * 5
    assert set(table["perc_difference"]) == {0}
    assert set(table["curve_spearman"]) == {"", "1.00"}
    assert set(table["difference"]) == {0}
    assert set(table["curve_order"]) == {"", "holds"}
    assert (table["independent"] == "no").sum() == 25
    order_table = orders(table)
    assert len(order_table) == 10  # 2 of Figures 3, 4 and 5 each, 1 of 6 and 3 of 7
    assert order_table[order_table["figure"] == "figure6"]["dim"].tolist() == ["all"]
    assert set(order_table["retrieval"]) == {"1.00, holds"}


def test_reversed_curve_is_reported_and_missing_rows_are_left_out():
    published = read_table(PAPER)
    measured = published[published["figure"] == "figure3"].copy()
    measured["retrieval"] = 1 - measured["retrieval"]
    table = compare(as_ours(measured), published, COLUMNS).set_index("task")
    assert set(table.loc["retrieval", "curve_spearman"]) == {"-1.00"}
    assert set(table.loc["retrieval", "curve_order"]) == {"does not hold"}
    assert len(table) == 8 * 5
    first = table.loc["retrieval"].iloc[0]
    assert (first["published"], first["difference"]) == (0.493, pytest.approx(0.014))


@pytest.mark.parametrize(("same", "text"), [(True, "are the paper's"), (False, "differ")])
def test_page_states_whether_the_data_are_those_of_the_paper(tmp_path, same, text):
    published = read_table(PAPER)
    table = compare(as_ours(published), published, COLUMNS)
    write_comparison(table, tmp_path / "c.csv", tmp_path / "c.html", title="<x>", same_data=same)
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert text in unescape(page) and "&lt;x&gt;" in page
    assert len((tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()) == 226


def test_only_groupings_and_trainings_of_the_paper_are_compared():
    published = read_table(PAPER)
    measured = as_ours(published)
    others = [
        measured.assign(grouping="firstk-0.4", dim=2, retrieval=0.0),
        measured.assign(grouping="kmeans-euclidean-0.4", dim=1024, retrieval=0.0),
        measured.assign(training="eng", retrieval=0.0),
    ]
    table = compare(pd.concat([*others, measured]), published, COLUMNS)
    assert len(table) == 45 * 5
    assert set(table["difference"]) == {0}


def test_a_task_whose_name_starts_another_name_has_its_own_column():
    kinds = {"miracl_rerank": "reranking", "miracl": "retrieval"}
    published = read_table(PAPER)
    names = {
        f"{kind}{part}": f"{task}_ndcg_at_10{part}"
        for task, kind in kinds.items()
        for part in ("", "_perc")
    }
    table = compare(as_ours(published.rename(columns=names)), published, columns_of(kinds))
    assert set(table["task"]) == set(kinds)
    assert set(table["difference"]) == {0}


def test_a_table_of_other_experiments_has_a_page_without_comparisons(tmp_path):
    published = read_table(PAPER)
    measured = published.replace({"figure": {f: f"my-{f}" for f in set(published["figure"])}})
    table = compare(as_ours(measured), published, COLUMNS)
    write_comparison(table, tmp_path / "c.csv", tmp_path / "c.html", title="", same_data=False)
    page = unescape((tmp_path / "c.html").read_text(encoding="utf-8"))
    assert "No experiment corresponds to a row of the paper's Table 5." in page
    written = read_table(tmp_path / "c.csv")
    assert written.empty and list(written)[:7] == [*IDENTITY, "task"]


@pytest.mark.parametrize("is_first", [True, False])
def test_of_rows_that_differ_in_their_lexicons_the_one_with_the_most_is_compared(is_first):
    published = read_table(PAPER)
    measured = as_ours(published)
    aligned = measured[measured["clsa"] == "yes"]
    most = aligned.assign(alignment="clsa-a+b")
    fewer = aligned.assign(alignment="clsa-a+roundtrip", retrieval=0.0)
    both = [most, fewer] if is_first else [fewer, most]
    table = compare(pd.concat([measured[measured["clsa"] != "yes"], *both]), published, COLUMNS)
    assert len(table) == 45 * 5
    assert set(table["difference"]) == {0}


def test_page_marks_scores_over_a_part_of_the_collection(tmp_path):
    published = read_table(PAPER)
    measured = published.assign(retrieval_collection="BM25's first 100")
    table = compare(as_ours(measured), published, COLUMNS)
    collections = table.groupby("task")["collection"].agg(set).to_dict()
    assert collections.pop("retrieval") == {"BM25's first 100"}
    assert set.union(*collections.values()) == {""}
    write_comparison(table, tmp_path / "c.csv", tmp_path / "c.html", title="", same_data=True)
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    page = unescape(page)
    assert "not the paper's measure" in page and "BM25's first 100" in page
