"""The entire workflow, from wheels to tables, with the small study."""

import csv
import json
import re
import shutil
import statistics
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from study import Study, job_counts

from semantic_tokens.grouping.groups import Groups
from semantic_tokens.tasks.scored_items import read_items, scores_by_language

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
# Five experiments with five tasks share two backbones, four groupings and three segmentations. Two
# more have only Table 4's task.
JOBS = {
    "fetch_wheel": 3,
    "derive_backbone": 2,
    "extract_embeddings": 2,
    "read_lexicon": 2,
    "align": 1,
    "reduce_dimension": 1,
    "group_kmeans": 1,
    "group_first_k": 2,
    "truncate_tokenizer": 2,
    "group_by_lexicon": 1,
    "read_corpus": 2,
    "tokenize_corpus": 1,
    "pretrain": 2,
    "measure_pretraining": 4,
    "read_dataset": 3,
    "read_ranking_dataset": 1,
    "rank_bm25": 1,
    "tokenize_dataset": 9,
    "tokenize_ranking": 3,
    "fine_tune": 27,
    "baseline": 7,
    "table1": 1,
    "table2": 1,
    "table3": 1,
    "held_out": 1,
    "table4": 1,
    "significance": 1,
    "group_quality": 1,
    "table5": 1,
    "claims": 1,
    "controls": 1,
    "comparison": 1,
    "figure_pipelines": 1,
    "figure_curves": 3,
    "figure_group_quality": 1,
    "figure_pretraining": 1,
    "explorer": 1,
    "provenance": 1,
}
# The plan counts no downloads, and no tables and figures.
NOT_PLANNED = {"fetch_wheel", *list(JOBS)[list(JOBS).index("table1") :]}


def read_csv(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def jobs(folder: Path, suffix: str) -> set[str]:
    """``{rule}/{wildcards}`` of every job with a file in this folder."""
    return {str(path.relative_to(folder))[: -len(suffix)] for path in folder.rglob(f"*{suffix}")}


def test_table5_has_a_line_for_every_experiment_of_table5(study: Study) -> None:
    table = read_csv(study.folder / "results/table5.csv")
    columns = ["figure", "backbone", "dim", "ratio", "clsa", "pretrain"]
    columns += ["alignment", "grouping", "training"]
    for task, (_, metric) in TASKS.items():
        parts = ("", "_low", "_high", "_perc", "_above_chance")
        columns += [f"{task}_{metric}{part}" for part in parts]
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


def test_table5_intervals_contain_the_scores(study: Study) -> None:
    for line in read_csv(study.folder / "results/table5.csv"):
        for task, (_, metric) in TASKS.items():
            low, value, high = (
                float(line[f"{task}_{metric}{part}"]) for part in ("_low", "", "_high")
            )
            assert low <= value <= high
            above = line[f"{task}_{metric}_above_chance"]
            assert above in ("yes", "no")


def test_baselines_are_computed_from_the_datasets(study: Study) -> None:
    chance, bm25 = read_csv(study.folder / "results/table5_baselines.csv")
    assert (chance["baseline"], bm25["baseline"]) == ("chance", "bm25")
    lines = (study.folder / "results/datasets/mini_inference/train.jsonl").read_text().splitlines()
    labels = [json.loads(line)["label"] for line in lines]
    assert len({labels.count(label) for label in labels}) == 1  # three classes, equally often
    assert chance["nli_accuracy"] == "0.3333"
    assert float(chance["retrieval_ndcg_at_10"]) < float(chance["rerank_ndcg_at_10"])
    for task in ("rerank", "retrieval"):
        assert float(bm25[f"{task}_ndcg_at_10"]) > float(chance[f"{task}_ndcg_at_10"])
    assert bm25["ner_f1"] == ""
    page = (study.folder / "results/table5.html").read_text(encoding="utf-8")
    assert "Chance" in page and "BM25" in page
    items = study.folder / "results/baselines/chance/qa.items.parquet"
    record = json.loads(items.with_suffix("").with_suffix(".json").read_text(encoding="utf-8"))
    assert record["value"] == pytest.approx(float(chance["qa_f1"]), abs=0.01)
    assert record["rule"].startswith("the words of the passage from word")
    baseline_ids = {item.id for item in read_items(items)}
    folder = study.folder / f"results/scores/{RECIPES[0]}/qa/all-languages"
    assert baseline_ids == {item.id for item in read_items(folder / "seed-1.items.parquet")}


def test_other_table_formats_show_the_same_scores(study: Study) -> None:
    results = study.folder / "results"
    for name in ("table5.tex", "table5.html"):
        text = (results / name).read_text(encoding="utf-8")
        assert "A cut-down study" in text
        value = read_score(study, RECIPES[2], "nli")["value"]
        assert f"{value:.3f}" in text, name
    lines = read_csv(results / "table5_by_language.csv")
    assert len(lines) == 3 * len(TASKS) * 2
    assert {line["language"] for line in lines} == {"deu", "jpn"}


def test_table1_counts_the_examples_that_were_read(study: Study) -> None:
    table = {line["task"]: line for line in read_csv(study.folder / "results/table1.csv")}
    assert list(table) == list(TASKS)
    for task, (dataset, parts) in {
        "ner": ("mini_names", ("train", "dev", "test")),
        "retrieval": ("mini_passages", ("train", "dev", "test", "passages")),
    }.items():
        folder = study.folder / "results/datasets" / dataset
        for part in parts:
            lines = (folder / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
            assert int(table[task][part]) == len(lines)
        assert (table[task]["languages"], table[task]["language_codes"]) == ("2", "deu jpn")


def test_table2_shows_the_configuration(study: Study) -> None:
    table = {line["parameter"]: line for line in read_csv(study.folder / "results/table2.csv")}
    assert [table["max_steps"][task] for task in TASKS] == ["2"] * 5
    assert table["learning_rate"]["nli"] == "0.0005"
    assert table["learning_rate"]["continual_pretraining"] == "0.0003"
    assert (table["rerank_depth"]["rerank"], table["rerank_depth"]["nli"]) == ("5", "")


def test_table3_measures_every_pretraining(study: Study) -> None:
    table = read_csv(study.folder / "results/table3.csv")
    assert [(line["dim"], line["ratio"]) for line in table] == [("384", "1"), ("64", "0.05")]
    full, reduced = (float(line["parameters_m"]) for line in table)
    # 2,500 embeddings of 384 numbers and as many biases, against 125 of 64.
    assert full - reduced == pytest.approx((2500 * 385 - 125 * 65) / 1e6, abs=0.02)
    assert all(float(line["steps_per_second"]) > 0 for line in table)
    assert {line["memory_of"] for line in table} == {"process"}


def test_table4_compares_groupings_on_one_language(study: Study) -> None:
    oracle, lexicon = read_csv(study.folder / "results/table4.csv")
    groups = study.folder / "results/groups/unigram/unaligned/dfull/lexicon-emoji.safetensors"
    weight = Groups.load(groups).weight
    assert (oracle["method"], oracle["ratio"]) == ("oracle", "1.0000")
    assert (lexicon["method"], lexicon["ratio"]) == ("lexicon: emoji", f"{len(weight) / 2500:.4f}")
    score = study.folder / f"results/scores/{oracle['recipe'].rpartition('/')[0]}/retrieval"
    record = json.loads((score / "deu/seed-1.json").read_text(encoding="utf-8"))
    assert oracle["ndcg_at_10"] == f"{record['by_language']['jpn']:.4f}"


def test_items_average_to_the_scores(study: Study) -> None:
    for task in TASKS:
        record = read_score(study, RECIPES[2], task)
        path = study.folder / f"results/scores/{RECIPES[2]}/{task}/all-languages"
        items = read_items(path / "seed-1.items.parquet")
        assert record["by_language"] == {
            language: pytest.approx(score)
            for language, (score, _) in scores_by_language(items).items()
        }


def test_significance_differences_equal_score_differences(study: Study) -> None:
    lines = read_csv(study.folder / "results/significance.csv")
    found = {line["compared"] for line in lines}
    assert found == {"pretraining", "grouping", "reference", "training"}
    for line in lines:
        # A model that was trained on German alone is scored in the other languages.
        trained = {line[side].rpartition("/")[2] for side in ("first", "second")}
        first, second = (
            statistics.mean(
                score for language, score in of_language.items() if language not in trained
            )
            for side in ("first", "second")
            for of_language in [read_record(study, line[side], line["task"])["by_language"]]
        )
        assert float(line["difference"]) == pytest.approx(first - second, abs=1e-4)
        assert float(line["low"]) <= float(line["difference"]) <= float(line["high"])
        assert 0 < float(line["p"]) <= float(line["p_adjusted"]) <= 1


def test_claims_are_judged_from_the_measured_scores(study: Study) -> None:
    lines = read_csv(study.folder / "results/claims.csv")
    overall = [line for line in lines if line["task"] == "all"]
    assert len({line["claim"] for line in lines}) == len(overall) > 20
    # Most claims need more than one K-Means experiment.
    assert {line["verdict"] for line in overall} <= {
        *("holds", "contradicted", "undecided", "not measured")
    }
    for line in overall:
        assert (line["verdict"] == "not measured") == line["detail"].startswith("needs ")
        assert (line["verdict"] == "not measured") == (line["value"] == "")
    falling = next(line for line in overall if line["claim"].startswith("Scores fall"))
    assert falling["verdict"] == "not measured"
    assert float(falling["published"]) > 0  # the paper's own numbers fall
    page = (study.folder / "results/claims.html").read_text(encoding="utf-8")
    assert "The paper&#39;s claims: A cut-down study" in page


def test_controls_table_shows_the_scores_of_its_experiments(study: Study) -> None:
    (line,) = read_csv(
        study.folder / "results/controls.csv"
    )  # the only control, which Figure 3 also shows
    assert (line["method"], line["clsa"], line["ratio"]) == ("First-k", "no", "0.4")
    for task, (kind, metric) in TASKS.items():
        value = read_score(study, RECIPES[3], task)["value"]
        decimals = 2 if kind == "question_answering" else 4
        assert line[f"{task}_{metric}"] == f"{value:.{decimals}f}"
        assert line[f"{task}_{metric}_minus_kmeans"] == ""  # no K-Means at that ratio


def test_held_out_table_shows_the_losses_of_pretraining(study: Study) -> None:
    lines = read_csv(study.folder / "results/held_out.csv")
    files = sorted((study.folder / "results/held_out").rglob("*.json"))
    found = [json.loads(path.read_text(encoding="utf-8"))["by_language"] for path in files]
    assert len(files) == 2 and len(lines) == sum(len(part) + bool(part) for part in found)
    for line in lines:
        if line["language"] != "all":
            losses = [f"{part[line['language']]['loss']:.4f}" for part in found]
            assert line["loss"] in losses
            assert float(line["low"]) <= float(line["loss"]) <= float(line["high"])


def test_group_quality_table_describes_the_groups(study: Study) -> None:
    (line,) = read_csv(study.folder / "results/group_quality.csv")
    assert line["grouping"] == "kmeans-cosine-0.05"
    assert (line["subwords"], line["semantic_tokens"]) == ("2500", "125")
    assert float(line["script_purity"]) > float(line["script_purity_by_chance"]) > 0


def test_the_report_has_every_table_and_figure(study: Study) -> None:
    result = study.run(options=["--report", "results/report.html"])
    assert result.returncode == 0, result.stdout
    page = (study.folder / "results/report.html").read_text(encoding="utf-8")
    for name in ("figure2", "figure3", "figure5"):
        assert f"{name}.png" in page
    for name in (
        *(f"table{number}" for number in range(1, 6)),
        "table5_by_language",
        "claims",
        "controls",
        "held_out",
        "comparison",
        "significance",
        "group_quality",
        "explorer",
        "provenance",
    ):
        assert f"{name}.html" in page
    assert "4.2 Dimension reduction" in page
    assert '"shows": "Table 5 by language"' in page and '"shows": "Figure 5"' in page
    assert "Semantic grouping of aligned word embeddings with fewer dimensions" in page


@pytest.mark.parametrize(
    "figure", ["figure2", "figure3", "figure5", "controls", "held_out", "held_out_by_language"]
)
def test_figures_are_pdf_svg_and_png_files(study: Study, figure: str) -> None:
    path = study.folder / f"results/figures/{figure}"
    assert path.with_suffix(".pdf").read_bytes()[:5] == b"%PDF-"
    assert path.with_suffix(".png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert ElementTree.parse(path.with_suffix(".svg")).getroot().tag.endswith("svg")


def test_explorer_shows_the_groups_of_the_study(study: Study, browser: Any) -> None:
    tab = browser.new_context(offline=True).new_page()
    tab.goto((study.folder / "results/explorer.html").as_uri() + "#Tomate")
    tab.wait_for_selector("#the-subword")
    assert "unigram, first 64 columns: 2,500 subwords, 1 grouping" in tab.inner_text("#the-about")
    part = "unigram/clsa-emoji+numbers+roundtrip/d64/kmeans-cosine-0.05"
    groups = Groups.load(study.folder / f"results/groups/{part}.safetensors")
    found = tab.evaluate("Array.from(groupings[0].tokenToGroup)")
    assert found == groups.token_to_group.tolist()
    tab.context.close()


def read_score(study: Study, recipe: str, task: str) -> dict[str, Any]:
    return read_record(study, f"{recipe}/all-languages", task)


def read_record(study: Study, experiment: str, task: str) -> dict[str, Any]:
    recipe, _, training = experiment.rpartition("/")
    path = study.folder / f"results/scores/{recipe}/{task}/{training}/seed-1.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_score_file_names_its_task_recipe_and_seed(
    study: Study, recipe: str, task: str
) -> None:
    score = read_score(study, recipe, task)
    kind, metric = TASKS[task]
    assert (score["task"], score["kind"], score["metric"]) == (task, kind, metric)
    assert (score["recipe"], score["training"], score["seed"]) == (recipe, "all-languages", 1)
    assert (score["steps"], score["train_examples"] > 0) == (2, True)
    assert score["count_by_language"] == {"deu": 6, "jpn": 6}
    assert score["value"] == pytest.approx(statistics.fmean(score["by_language"].values()))
    highest = 100 if kind == "question_answering" else 1
    assert all(0 <= value <= highest for value in score["by_language"].values())


def test_files_shared_by_experiments_are_made_once(full_run: str) -> None:
    assert job_counts(full_run) == JOBS


def test_every_job_leaves_a_log_and_a_benchmark(study: Study) -> None:
    done = jobs(study.folder / "results/benchmarks", ".tsv")
    assert {job.partition("/")[0] for job in done} >= set(JOBS)
    assert done <= jobs(study.folder / "results/logs", ".log")
    for job in done:
        (line,) = read_csv(study.folder / f"results/benchmarks/{job}.tsv", delimiter="\t")
        assert float(line["s"]) > 0, job


def test_files_outside_the_experiments_are_made_on_request(study: Study) -> None:
    """Lexicon groups (Appendix F), and training on one language (section 4.5)."""
    groups = "results/groups/unigram/unaligned/dfull/lexicon-numbers.safetensors"
    score = f"results/scores/{RECIPES[0]}/nli/deu/seed-1.json"
    result = study.run(groups, score)
    assert result.returncode == 0, result.stdout
    assert job_counts(result.stdout) == {"group_by_lexicon": 1, "fine_tune": 1}
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


def test_same_seeds_give_identical_files(study: Study) -> None:
    """Run everything again from alignment on, and compare the files."""
    before = study.output_files()
    result = study.run(options=["--forcerun", "align"])
    assert result.returncode == 0, result.stdout
    after = study.output_files()
    rewritten = {path for path in before if after[path].time > before[path].time}
    part = "unigram/clsa-emoji+numbers+roundtrip"
    expected = {f"results/embeddings/{part}/{d}.safetensors" for d in ("dfull", "d64")}
    expected.add(f"results/groups/{part}/d64/kmeans-cosine-0.05.safetensors")
    model = f"results/models/{part}/d64/kmeans-cosine-0.05/mlm"
    expected |= {
        f"{model}/{name}"
        for name in (
            "config.json",
            "model.safetensors",
            "modeling_semantic_tokens.py",
            "backbone/config.json",
            "tokenizer.json",
            "tokenizer_config.json",
        )
    }
    expected.add(f"results/held_out/{part}/d64/kmeans-cosine-0.05.json")
    for task in TASKS:
        run = f"{RECIPES[2]}/{task}/all-languages/seed-1"
        expected |= {f"results/scores/{run}.{suffix}" for suffix in ("json", "items.parquet")}
        expected.add(f"results/predictions/{run}.jsonl.gz")
    with_speed = {  # files that contain the speed of a run
        f"results/efficiency/{logits}-logits/{part}/d64/kmeans-cosine-0.05.json"
        for logits in ("masked", "all")
    }
    with_speed |= {f"results/table3.{suffix}" for suffix in ("csv", "html")}
    steps = [f"pretrain/{part}/d64/kmeans-cosine-0.05"]
    steps += [f"fine_tune/{RECIPES[2]}/{task}/all-languages/seed-1" for task in TASKS]
    with_speed |= {f"results/training/{path}.steps.tsv" for path in steps}
    expected |= with_speed
    expected |= {
        f"results/table5{s}"
        for s in (
            *(".csv", ".tex", ".html", "_baselines.csv"),
            *("_by_language.csv", "_by_language.html"),
        )
    }
    for table in ("claims", "significance", "group_quality", "held_out"):
        expected |= {f"results/{table}.csv", f"results/{table}.html"}
    expected |= {"results/comparison.csv", "results/comparison.html"}
    expected |= {
        f"results/figures/{figure}.{suffix}"
        for figure in (
            *("figure5", "group_quality", "held_out", "held_out_by_language"),
            "pretraining_curves",
        )
        for suffix in ("pdf", "svg", "png")
    }
    expected |= {"results/explorer.html", "results/provenance.json", "results/provenance.html"}
    assert rewritten == expected
    assert {path: file.sha256 for path, file in after.items() if path not in with_speed} == {
        path: file.sha256 for path, file in before.items() if path not in with_speed
    }


@pytest.mark.parametrize(
    ("planned_part", "targets"), [("table5", ["results/table5.csv"]), ("all", [])]
)
def test_the_plan_counts_the_jobs_that_would_run(
    study: Study, planned_part: str, targets: list[str]
) -> None:
    change = {"planned": planned_part}
    result = study.run("plan", change=change)
    assert result.returncode == 0, result.stdout
    page = (study.folder / "results/plan.txt").read_text(encoding="utf-8")
    assert page in result.stdout  # printed and saved
    table = page.partition("  total")[0].splitlines()[2:]
    planned = {line.split()[0]: int(line.split()[1]) for line in table}
    dry_run = study.run(*targets, change=change, options=["--dry-run", "--forceall"])
    counts = job_counts(dry_run.stdout)
    assert planned == {rule: count for rule, count in counts.items() if rule not in NOT_PLANNED}


def test_replicates_repeat_the_pipeline_with_other_seeds(study: Study, tmp_path: Path) -> None:
    copied_study = Study(study.checkout, tmp_path / "replicated")
    shutil.copytree(study.folder, copied_study.folder, symlinks=True)
    change = {"replicates": 2, "tasks_shown": ["nli"]}
    result = copied_study.run("results/table5.csv", "results/claims.csv", change=change)
    assert result.returncode == 0, result.stdout
    # Three experiments of Table 5, two with First-k, and two of Table 4.
    assert job_counts(result.stdout) == {
        **{"replicate_backbone": 2, "extract_embeddings": 2, "align": 1, "reduce_dimension": 1},
        **{"group_kmeans": 1, "group_first_k": 2, "group_by_lexicon": 1},
        **{"pretrain": 2, "fine_tune": 5 + 2, "table5": 1, "claims": 1},
    }
    results = copied_study.folder / "results"
    first, second = RECIPES[2], RECIPES[2].replace("unigram", "unigram.replicate-2")
    for recipe, seed in ((first, 1), (second, 1001)):
        path = results / f"scores/{recipe}/nli/all-languages/seed-{seed}.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        assert (record["recipe"], record["seed"]) == (recipe, seed)
    groups = [
        Groups.load(results / f"groups/{recipe.rpartition('/')[0]}.safetensors")
        for recipe in (first, second)
    ]
    assert len(groups[0].weight) == len(groups[1].weight)
    assert groups[0].token_to_group.tolist() != groups[1].token_to_group.tolist()
    backbones = [
        results / f"backbones/{name}/model.safetensors"
        for name in ("unigram", "unigram.replicate-2")
    ]
    assert backbones[0].samefile(backbones[1])
    assert not (results / "tokenized/unigram.replicate-2").exists()
    line = read_csv(results / "table5.csv")[2]
    values = [
        json.loads((results / f"scores/{recipe}/nli/all-languages/seed-{seed}.json").read_text())[
            "value"
        ]
        for recipe, seed in ((first, 1), (second, 1001))
    ]
    assert float(line["nli_accuracy"]) == pytest.approx(statistics.fmean(values), abs=1e-4)
    spread = float(line["nli_accuracy_std_replicates"])
    assert spread == pytest.approx(statistics.stdev(values), abs=1e-4)
    assert "nli_accuracy_std" not in line
    assert (
        copied_study.run("results/table5.csv", change=change, options=["--dry-run"]).returncode == 0
    )


def test_tables_name_the_pool_of_their_scores(study: Study, tmp_path: Path) -> None:
    copied_study = Study(study.checkout, tmp_path / "pooled")
    shutil.copytree(study.folder, copied_study.folder, symlinks=True)
    config = yaml.safe_load(
        (copied_study.folder / "config/config.yaml").read_text(encoding="utf-8")
    )
    pool = {"depth": 5, "random_per_language": 2, "seed": 1}
    result = copied_study.run(
        *("results/table5.csv", "results/comparison.html", "results/figures/figure5.pdf"),
        change={
            "tasks_shown": ["retrieval", "pooled", "reranked"],
            "datasets": {"pooled": config["datasets"]["mini_passages"] | {"pool": pool}},
            "tasks": {
                "pooled": config["tasks"]["retrieval"] | {"dataset": "pooled"},
                "reranked": config["tasks"]["rerank"] | {"dataset": "pooled"},
            },
        },
    )
    assert result.returncode == 0, result.stdout
    assert job_counts(result.stdout) == {
        **{"read_ranking_dataset": 1, "rank_bm25": 1, "pool_passages": 1, "tokenize_ranking": 1},
        **{"fine_tune": 2 * 3, "baseline": 2 * 2, "table5": 1, "comparison": 1, "figure_curves": 1},
    }
    all_passages, pooled_passages = (
        copied_study.folder / f"results/{folder}/passages.jsonl"
        for folder in ("datasets/pooled", "pools/pooled")
    )
    assert set(pooled_passages.read_text().splitlines()) < set(
        all_passages.read_text().splitlines()
    )
    score = read_score(copied_study, RECIPES[0], "pooled")
    assert score["collection"] == {"pool": pool}
    # Reranking uses BM25's lists of the entire collection.
    assert "collection" not in read_score(copied_study, RECIPES[0], "reranked")
    pool_text = "the relevant passages, BM25's first 5 and 2 others per language (seed 1)"
    for line in read_csv(copied_study.folder / "results/table5.csv"):
        assert line["pooled_ndcg_at_10_collection"] == pool_text
        assert set(line) & {"retrieval_ndcg_at_10_collection", "reranked_collection"} == set()
    for line in read_csv(copied_study.folder / "results/comparison.csv"):
        assert line["collection"] == (pool_text if line["task"] == "pooled" else "")
    for name in ("table5.html", "table5.tex", "comparison.html", "table5_by_language.csv"):
        text = (copied_study.folder / "results" / name).read_text(encoding="utf-8")
        assert "first 5 and 2 others per language" in text, name
