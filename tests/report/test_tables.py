import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from scored import FEW, even_items, even_scores
from transformers import ElectraConfig

from semantic_tokens.errors import InputError
from semantic_tokens.evaluation.scores import Scores, Trainings
from semantic_tokens.evaluation.task_scores import (
    ScoredTask,
    collection_note,
    describe_tasks,
    full_dimensions,
    records_in,
)
from semantic_tokens.report.tables.table5 import baselines, by_language, table5
from semantic_tokens.report.tables.table5_files import (
    band,
    escape_tex,
    write_by_language,
    write_by_language_page,
    write_csv,
    write_html,
    write_latex,
)

NER = ScoredTask("ner_names", "token_classification", "f1")
QA = ScoredTask("qa", "question_answering", "f1")
DIMENSIONS = {"big": 384}
NUMBERS = ("value", "std", "low", "high", "above_chance", "count")
CONTEXT = {
    "title": "50% & more",
    "runs": Trainings([1, 2]),
    "confidence": 0.95,
    "backbone": "big",
    "rules": {"qa": "always <b>"},
}
NO_BASELINES = pd.DataFrame()
#: Each of the two seeds of SCORES twice, since an interval of two trainings is very wide.
FOUR_SEEDS = [1, 2, 1, 2]


def experiment(**changes):
    row = {
        "figure": "oracle",
        "table5": True,
        "reference": False,
        "backbone": "big",
        "alignment": "unaligned",
        "dimension": "dfull",
        "grouping": "ungrouped",
        "pretraining": "asis",
        "training": "all-languages",
    }
    assert set(changes) <= set(row)
    return row | changes


ORACLE = experiment(reference=True, pretraining="mlm")
GROUPED = experiment(figure="figure3", grouping="kmeans-cosine-0.05")
ALIGNED = experiment(figure="figure5", alignment="clsa-muse", dimension="d32", pretraining="mlm")
FIRST_K = experiment(figure="figure3", grouping="firstk-0.05", table5=False)
ROWS = [ORACLE, GROUPED, ALIGNED, FIRST_K]

# Scores for deu and swa, by grouping, alignment and seed.
SCORES = {
    "ner_names": {
        ("ungrouped", "unaligned", 1): (0.9, 0.7),
        ("ungrouped", "unaligned", 2): (0.9, 0.9),
        ("kmeans-cosine-0.05", "unaligned", 1): (0.5, 0.4),
        ("kmeans-cosine-0.05", "unaligned", 2): (0.5, 0.2),
        ("ungrouped", "clsa-muse", 1): (0.85, 0.85),
        ("ungrouped", "clsa-muse", 2): (0.85, 0.85),
        ("firstk-0.05", "unaligned", 1): (0.1, 0.0),
        ("firstk-0.05", "unaligned", 2): (0.1, 0.1),
    },
}
SCORES["qa"] = {key: (100 * a, 100 * b) for key, (a, b) in SCORES["ner_names"].items()}


def record_of(row, task, seed):
    deu, swa = SCORES[task][row["grouping"], row["alignment"], seed]
    return {
        "kind": {"ner_names": NER, "qa": QA}[task].kind,
        "metric": "f1",
        "value": (deu + swa) / 2,
        "by_language": {"deu": deu, "swa": swa},
        "count_by_language": {"deu": 40, "swa": 30},
    }


def scores_of(tasks, seeds, *, chance=0.2):
    """The scores of all rows. ``chance`` is a fraction of the scale."""
    return even_scores(
        ROWS,
        [task.name for task in tasks],
        seeds,
        lambda row, task, seed: record_of(row, task, seed)["by_language"],
        chance={task.name: chance * (100 if task.is_percentage else 1) for task in tasks},
    )


def csv_lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_one_seed_gives_values_and_relative_performance():
    table = table5(ROWS, [NER, QA], scores_of([NER, QA], [1]), DIMENSIONS)
    parts = ("", "_low", "_high", "_perc", "_above_chance")
    assert list(table) == [
        *("figure", "backbone", "dim", "ratio", "clsa", "pretrain"),
        *("alignment", "grouping", "training"),
        *(f"ner_names_f1{part}" for part in parts),
        *(f"qa_f1{part}" for part in parts),
    ]
    assert table[["dim", "ratio", "clsa", "pretrain"]].values.tolist() == [
        [384, 1.0, "", "yes"],
        [384, 0.05, "no", "no"],
        [32, 1.0, "yes", "yes"],
    ]
    assert table["ner_names_f1"].tolist() == pytest.approx([0.8, 0.45, 0.85])
    assert table["ner_names_f1_perc"].tolist() == pytest.approx([100, 56.25, 106.25])
    assert table["qa_f1"].tolist() == pytest.approx([80, 45, 85])


def test_seeds_give_means_sample_deviations_and_percentages_of_the_means(tmp_path):
    table = table5(ROWS, [NER], scores_of([NER], [1, 2]), DIMENSIONS)
    write_csv(table, [NER], tmp_path / "table5.csv")
    lines = csv_lines(tmp_path / "table5.csv")
    # Means 0.85 and 0.40, deviations |0.8 - 0.9| / sqrt(2) and |0.45 - 0.35| / sqrt(2).
    parts = ("", "_std", "_low", "_high", "_perc", "_above_chance")
    columns = [f"ner_names_f1{part}" for part in parts]
    assert list(lines[0])[9:] == columns
    # Items have equal scores, so only the seeds vary: the margin is 12.706 * 0.0707 / sqrt(2).
    assert [lines[0][c] for c in columns] == [
        "0.8500",
        "0.0707",
        "0.2147",
        "1.4853",
        "100.0",
        "yes",
    ]
    assert [lines[1][c] for c in columns] == ["0.4000", "0.0707", "-0.2353", "1.0353", "47.1", "no"]
    assert [lines[2][c] for c in columns] == [
        "0.8500",
        "0.0000",
        "0.8500",
        "0.8500",
        "100.0",
        "yes",
    ]


def test_the_csv_has_fixed_decimals(tmp_path):
    path = tmp_path / "table5.csv"
    scores = scores_of([NER, QA], [1], chance=0.45)
    write_csv(table5(ROWS, [NER, QA], scores, DIMENSIONS), [NER, QA], path)
    assert path.read_bytes() == (
        b"figure,backbone,dim,ratio,clsa,pretrain,alignment,grouping,training,"
        b"ner_names_f1,ner_names_f1_low,ner_names_f1_high,ner_names_f1_perc,"
        b"ner_names_f1_above_chance,"
        b"qa_f1,qa_f1_low,qa_f1_high,qa_f1_perc,qa_f1_above_chance\n"
        b"oracle,big,384,1.0,,yes,unaligned,ungrouped,all-languages,"
        b"0.8000,0.8000,0.8000,100.0,yes,80.00,80.00,80.00,100.0,yes\n"
        b"figure3,big,384,0.05,no,no,unaligned,kmeans-cosine-0.05,all-languages,"
        b"0.4500,0.4500,0.4500,56.2,no,45.00,45.00,45.00,56.2,no\n"
        b"figure5,big,32,1.0,yes,yes,clsa-muse,ungrouped,all-languages,0.8500,0.8500,0.8500,106.2,yes,"
        b"85.00,85.00,85.00,106.2,yes\n"
    )


def test_lexicon_grouping_has_no_ratio_and_zero_reference_no_percentage(tmp_path):
    lexicon = experiment(figure="table4", grouping="lexicon-muse")

    scores = even_scores(
        [ORACLE, lexicon], [NER.name], [1], lambda r, t, s: {"deu": 0.0 if r["reference"] else 0.5}
    )
    table = table5([ORACLE, lexicon], [NER], scores, DIMENSIONS)
    write_csv(table, [NER], tmp_path / "t.csv")
    oracle, grouped = csv_lines(tmp_path / "t.csv")
    assert (oracle["ratio"], grouped["ratio"]) == ("1.0", "")
    assert (grouped["ner_names_f1"], grouped["ner_names_f1_perc"]) == ("0.5000", "")
    write_latex(table, NO_BASELINES, [NER], tmp_path / "t.tex", **CONTEXT)
    assert "384 & --- & $\\times$ & $\\times$" in (tmp_path / "t.tex").read_text()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([GROUPED], "backbone big has no row with `reference` yes"),
        ([ORACLE, experiment(reference=True)], "backbone big has more than one"),
    ],
)
def test_every_backbone_has_one_reference(rows, message):
    with pytest.raises(InputError, match=message):
        table5(rows, [NER], scores_of([NER], [1]), DIMENSIONS)


def test_page_by_language_keeps_the_order_of_the_table(tmp_path):
    variants = [(ratio, pt) for pt in ("asis", "mlm") for ratio in ("0.4", "0.05")]
    rows = [{**GROUPED, "grouping": f"kmeans-cosine-{r}", "pretraining": pt} for r, pt in variants]
    scores = even_scores(rows, [NER.name], [1], lambda *_: {"deu": 0.5, "eng": 0.6}, chance=0.5)
    table = by_language(rows, [NER], scores, DIMENSIONS)
    write_by_language_page(table, [NER], tmp_path / "page.html", title="")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    shown = re.findall(r'<td class=" text">(0\.\d+°?)</td>', page)
    # A score that is not above chance is marked.
    assert shown == [text for ratio, _ in variants for text in (ratio, "0.500°", "0.600")]


def test_by_language_distinguishes_first_k_from_k_means(tmp_path):
    scores = scores_of([NER, QA], [1, 2], chance=0.1)
    rows = [*ROWS[:-1], FIRST_K | {"table5": True}]
    table = by_language(rows, [NER, QA], scores, DIMENSIONS)
    write_by_language(table, [NER, QA], tmp_path / "by_language.csv")
    lines = csv_lines(tmp_path / "by_language.csv")
    assert len(lines) == len(ROWS) * 2 * 2
    identity = [column for column in lines[0] if column not in NUMBERS]
    assert len({tuple(line[c] for c in identity) for line in lines}) == len(lines)
    selected = {"task": "qa", "language": "swa", "ratio": "0.05"}
    found = {
        line["grouping"]: tuple(line[number] for number in NUMBERS)
        for line in lines
        if selected.items() <= line.items()
    }
    assert found == {
        "kmeans-cosine-0.05": ("30.00", "14.14", "-97.06", "157.06", "no", "4"),
        "firstk-0.05": ("5.00", "7.07", "-58.53", "68.53", "no", "4"),
    }


def test_a_reference_may_be_left_out_of_the_table():
    rows = [ORACLE | {"table5": False}, GROUPED]
    scores = scores_of([NER], [1])
    (line,) = table5(rows, [NER], scores, DIMENSIONS).to_dict("records")
    assert line["ner_names_f1_perc"] == pytest.approx(100 * 0.45 / 0.8)
    assert set(by_language(rows, [NER], scores, DIMENSIONS)["figure"]) == {"figure3"}


def test_percentages_are_of_the_oracle_in_the_same_languages():
    """A model that is trained on one language is scored in the others."""
    zero_shot = {**GROUPED, "training": "deu"}
    by_language_of = {"all-languages": {"deu": 0.9, "swa": 0.6}, "deu": {"deu": 0.9, "swa": 0.3}}
    rows = [ORACLE, zero_shot]
    scores = even_scores(rows, [NER.name], [1], lambda row, *_: by_language_of[row["training"]])
    table = table5(rows, [NER], scores, DIMENSIONS)
    assert table["ner_names_f1"].tolist() == pytest.approx([0.75, 0.3])
    assert table["ner_names_f1_perc"].tolist() == pytest.approx([100, 50])


def test_percentages_of_baselines_are_of_the_oracle_in_the_same_languages():
    reference = {**ORACLE, "training": "deu"}
    scores = Scores(
        {NER.name: [reference]},
        Trainings([1]),
        lambda *_: even_items({"deu": 0.9, "swa": 0.4}),
        lambda baseline, _: even_items({"deu": 0.5, "swa": 0.1}) if baseline == "chance" else None,
        FEW,
    )
    (chance,) = baselines([NER], scores, reference).to_dict("records")
    assert chance["ner_names_f1"] == pytest.approx(0.3)  # in both languages
    assert chance["ner_names_f1_perc"] == pytest.approx(25)


def test_table5_distinguishes_first_k_and_training_languages(tmp_path):
    first_k = {**FIRST_K, "table5": True}
    rows = [ORACLE, GROUPED, first_k, {**first_k, "training": "deu"}]
    scores = even_scores(rows, [NER.name], [1], lambda *_: {"deu": 0.5, "eng": 0.6})
    table = table5(rows, [NER], scores, DIMENSIONS)
    write_csv(table, [NER], tmp_path / "table5.csv")
    paths = [(line["grouping"], line["training"]) for line in csv_lines(tmp_path / "table5.csv")]
    assert paths == [(row["grouping"], row["training"]) for row in rows]
    write_html(table, NO_BASELINES, [NER], tmp_path / "t.html", **CONTEXT)
    page = Cells()
    page.feed((tmp_path / "t.html").read_text(encoding="utf-8"))
    assert [line[0][1] for line in page.lines if len(line) == 1] == [
        *("Oracle: big", "Figure 3: big", "Figure 3: big, First-k"),
        "Figure 3: big, First-k, trained on deu",
    ]


@pytest.mark.parametrize(
    ("perc", "colour"),
    [
        (120, "green"),
        (90.06, "green"),
        (90.04, "yellow"),  # printed 90.0, which is not above 90
        (70, "yellow"),
        (69.9, "red"),
        (50, "red"),
        (49.9, "darkred"),
        (0, "darkred"),
        (float("nan"), ""),
    ],
)
def test_bands_have_the_thresholds_of_the_paper(perc, colour):
    assert band(perc) == colour


def test_latex_has_a_cell_for_every_column_and_escapes_names(tmp_path):
    scores = scores_of([NER, QA], FOUR_SEEDS)
    table = table5(ROWS, [NER, QA], scores, DIMENSIONS)
    without_model = baselines([NER, QA], scores, ORACLE)
    write_latex(table, without_model, [NER, QA], tmp_path / "t.tex", **CONTEXT)
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    columns = re.search(r"\\begin{tabular}{(\w+)}", text)[1]
    rows = [row for row in re.split(r"\\\\(?:\n|$)", body) if row.strip()]
    # Two rows of the head, three groups of a heading and a row, and chance with its heading.
    assert len(rows) == 2 + 4 * 2
    for row in rows:
        spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn{(\d+)}", row))
        assert len(re.findall(r"(?<!\\)&", row)) + 1 + spans == len(columns)
    assert r"ner\_names" in body
    assert r"50\% \& more" in text
    assert re.search(
        r"\\cellcolor{banddarkred}0\.400.*0\.058.*\\cellcolor{banddarkred}47\.1\\%", body
    )
    assert set(re.findall(r"band\w+", body)) <= set(re.findall(r"\\definecolor{(\w+)}", text))
    unescaped = re.sub(r"\\[{}]", "", text)
    assert unescaped.count("{") == unescaped.count("}")
    for environment in ("table*", "tabular"):
        assert text.count(f"\\begin{{{environment}}}") == text.count(f"\\end{{{environment}}}") == 1
    assert not re.search(r"(?<!\\)[%#]", body)


def test_tex_characters_are_escaped_once():
    assert escape_tex(r"a_b\c~{1}^2") == (
        r"a\_b\textbackslash{}c\textasciitilde{}\{1\}\textasciicircum{}2"
    )


class Cells(HTMLParser):
    """Collects the text and class of every cell, by line, and all addresses that a page would
    load."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[list[tuple[str, str]]] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.addresses += [v for k, v in values.items() if k in ("src", "href")]
        if tag == "tr":
            self.lines.append([])
        elif tag in ("td", "th"):
            self.lines[-1].append((values.get("class", ""), ""))

    def handle_data(self, data):
        if self.lines and self.lines[-1]:
            style, text = self.lines[-1][-1]
            self.lines[-1][-1] = (style, text + data.strip())


def test_html_is_complete_and_repeats_colours_in_text(tmp_path):
    scores = scores_of([NER, QA], FOUR_SEEDS)
    table = table5(ROWS, [NER, QA], scores, DIMENSIONS)
    without_model = baselines([NER, QA], scores, ORACLE)
    context = CONTEXT | {"title": "a <b> & c"}
    write_html(table, without_model, [NER, QA], tmp_path / "t.html", **context)
    text = (tmp_path / "t.html").read_text(encoding="utf-8")
    page = Cells()
    page.feed(text)
    assert page.addresses == []
    assert "url(" not in text
    assert "a &lt;b&gt; &amp; c" in text
    assert "seeds 1, 2" in text
    assert "in qa always &lt;b&gt;." in text
    assert [line[0][1] for line in page.lines if len(line) == 1] == [
        *("Oracle: big", "Figure 3: big", "Figure 5: big", "Without a model, relative to big"),
    ]
    grouped = page.lines[-5]
    assert grouped == [
        *[("", "384"), ("", "5%"), ("mark", "no"), ("mark", "no")],
        *[("value darkred", "0.400± 0.0580.308–0.492"), ("darkred", "47.1%")],
        *[("value darkred", "40.0± 5.830.8–49.2"), ("darkred", "47.1%")],
    ]
    assert page.lines[-1][:4] == [
        ("text", "Chance"),
        *[("value ", "0.2000.200–0.200"), ("", "23.5%"), ("value ", "20.020.0–20.0")],
    ]


def test_scores_at_chance_are_marked_and_have_no_band(tmp_path):
    scores = scores_of([NER], [1], chance=0.45)  # the score of K-Means
    table = table5(ROWS, [NER], scores, DIMENSIONS)
    assert table["ner_names_f1_above_chance"].tolist() == ["yes", "no", "yes"]
    write_html(table, NO_BASELINES, [NER], tmp_path / "t.html", **CONTEXT)
    page = Cells()
    page.feed((tmp_path / "t.html").read_text(encoding="utf-8"))
    cells = {line[1][1]: line[4:] for line in page.lines if len(line) == 6}
    assert cells["5%"] == [("value ", "0.450°0.450–0.450"), ("", "56.2%")]
    assert cells["100%"][0][0] == "value green"
    write_latex(table, NO_BASELINES, [NER], tmp_path / "t.tex", **CONTEXT)
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    assert r"  & 0.450$^\circ$\,{\tiny 0.450--0.450} & 56.2\%" in text


def test_baselines_are_rows_with_the_columns_of_the_table(tmp_path):
    rank = ScoredTask("rerank", "reranking", "ndcg_at_10")
    scores = even_scores(
        [ORACLE], ["rerank", NER.name], [1], lambda *_: {"deu": 0.8, "swa": 0.4},
        chance=0.3, bm25={"rerank": 0.75},
    )  # fmt: skip
    table = baselines([NER, rank], scores, ORACLE)
    write_csv(table, [NER, rank], tmp_path / "b.csv")
    chance, bm25 = csv_lines(tmp_path / "b.csv")
    assert (chance["baseline"], chance["rerank_ndcg_at_10"]) == ("chance", "0.3000")
    assert chance["ner_names_f1_perc"] == "50.0"
    assert (bm25["rerank_ndcg_at_10"], bm25["rerank_ndcg_at_10_perc"]) == ("0.7500", "125.0")
    assert bm25["ner_names_f1"] == bm25["ner_names_f1_low"] == ""
    assert len(baselines([NER], scores, ORACLE)) == 1  # BM25 ranks nothing there


def test_records_are_found_by_their_recipe(tmp_path):
    folder = tmp_path / "big/unaligned/dfull/kmeans-cosine-0.05/asis/qa/all-languages"
    folder.mkdir(parents=True)
    record = {"kind": "question_answering", "metric": "f1", "value": 12.5}
    (folder / "seed-3.json").write_text(json.dumps(record))
    find = records_in(tmp_path)
    assert find(GROUPED, "qa", 3) == record
    assert describe_tasks(["qa"], [GROUPED], [3], find) == [QA]
    with pytest.raises(InputError, match=r"firstk-0\.05/asis/qa/all-languages/seed-3\.json"):
        find(FIRST_K, "qa", 3)


def test_full_dimension_is_read_from_the_config_of_the_backbone(tmp_path):
    ElectraConfig(hidden_size=128, embedding_size=384).save_pretrained(tmp_path / "big")
    assert full_dimensions([tmp_path / "big/config.json"]) == DIMENSIONS


# A part of a collection


POOL = {"pool": {"depth": 100, "random_per_language": 10000, "seed": 1}}
SEARCHED = "the relevant passages, BM25's first 100 and 10000 others per language (seed 1)"


def pooled(row, task, seed):
    """The record of a score. Only the task `qa` searches a pool."""
    return record_of(row, task, seed) | ({"collection": POOL} if task == "qa" else {})


def test_every_score_names_the_searched_pool(tmp_path):
    tasks = describe_tasks(["ner_names", "qa"], ROWS, [1, 2], pooled)
    assert [task.collection for task in tasks] == ["", SEARCHED]
    scores = scores_of(tasks, [1, 2])
    table = table5(ROWS, tasks, scores, DIMENSIONS)
    write_csv(table, tasks, tmp_path / "t.csv")
    assert {line["qa_f1_collection"] for line in csv_lines(tmp_path / "t.csv")} == {SEARCHED}
    assert "ner_names_f1_collection" not in table
    write_html(table, NO_BASELINES, tasks, tmp_path / "t.html", **CONTEXT)
    write_latex(table, NO_BASELINES, tasks, tmp_path / "t.tex", **CONTEXT)
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert ">qa*<" in page and ">ner_names<" in page
    assert SEARCHED.replace("'", "&#39;") in page
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    assert "{qa*}" in text and "* qa searched a part of its collection" in text
    assert SEARCHED in text
    lines = by_language(ROWS, tasks, scores, DIMENSIONS)
    assert set(lines.loc[lines["task"] == "qa", "collection"]) == {SEARCHED}
    assert lines.loc[lines["task"] != "qa", "collection"].isna().all()


def test_searched_part_of_a_collection_is_described():
    assert collection_note({}) == ""
    assert collection_note({"collection": POOL}) == SEARCHED
    assert collection_note({"collection": POOL | {"distractors": 0.1}}).startswith(
        SEARCHED + ", out of the judged passages"
    )
