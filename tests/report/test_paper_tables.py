import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from scored import even_scores

from semantic_tokens.json_files import write_json
from semantic_tokens.report.tables.table1 import dataset_counts, table1
from semantic_tokens.report.tables.table2 import table2, write_table2
from semantic_tokens.report.tables.table3 import HEADS, table3, write_table3
from semantic_tokens.report.tables.table4 import (
    LexiconTask,
    method_name,
    ratio_of_file,
    table4,
    write_table4,
)
from semantic_tokens.study.recipe import Recipe


def write_lines(path: Path, languages: str) -> Path:
    rows = [
        json.dumps({"id": str(i), "language": code}) for i, code in enumerate(languages.split())
    ]
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def counts(tmp_path: Path) -> pd.DataFrame:
    parts = {"train": "eng eng deu", "dev": "", "test": "eng zho zho"}
    names = {
        part: write_lines(tmp_path / f"names-{part}.jsonl", text) for part, text in parts.items()
    }
    passages = {"passages": write_lines(tmp_path / "passages.jsonl", "zho " * 5)}
    return dataset_counts({"names": names, "miracl": names | passages})


def test_examples_are_counted_by_language(counts: pd.DataFrame) -> None:
    lines = [tuple(line) for line in counts.fillna(-1).values.tolist()]
    assert lines == [
        ("names", "deu", 1, 0, 0, -1),
        ("names", "eng", 2, 0, 1, -1),
        ("names", "zho", 0, 0, 2, -1),
        ("miracl", "deu", 1, 0, 0, 0),
        ("miracl", "eng", 2, 0, 1, 0),
        ("miracl", "zho", 0, 0, 2, 5),
    ]


def test_table1_counts_the_languages_that_are_scored(counts: pd.DataFrame) -> None:
    tasks = {
        "ner": {"kind": "token_classification", "dataset": "names"},
        "search": {"kind": "retrieval", "dataset": "miracl"},
    }
    first, second = table1(tasks, counts, "test").to_dict("records")
    assert (first["is"], first["type"]) == ("named entity recognition", "classification")
    assert (second["type"], second["granularity"]) == ("embedding", "passage-level")
    assert [first[c] for c in ("languages", "train", "dev", "test")] == [2, 3, 0, 3]
    assert first["language_codes"] == "eng zho"  # German is used for training but not scored
    assert pd.isna(first["passages"])
    assert second["passages"] == 5


def test_table2_lists_the_options_and_their_defaults() -> None:
    tasks = {
        "ner": {"training": {"epochs": 3, "batch_size": 64, "learning_rate": 5e-05}},
        "rerank": {
            "training": {"max_steps": 9, "batch_size": 8, "learning_rate": 1e-05, "dropout": 0.0},
            "options": {"loss": "listwise"},
            "tokenization": {"max_query_length": 32},
        },
    }
    pretraining = {
        "training": {"max_steps": 25_000, "batch_size": 1024, "learning_rate": 1e-4},
        "options": {"corpora": ["a", "b"], "mask_probability": 0.15},
    }
    fine_tuning, continual = table2(tasks, pretraining)
    parameters = fine_tuning.set_index("parameter").to_dict("index")
    assert parameters["epochs"] == {"ner": "3", "rerank": ""}  # the steps decide
    assert parameters["learning_rate"] == {"ner": "5e-05", "rerank": "1e-05"}
    assert parameters["adam_beta_2"] == {"ner": "0.99", "rerank": "0.99"}  # the default
    assert parameters["dropout"] == {
        "ner": "",
        "rerank": "0",
    }  # the backbone's value, and no dropout
    assert parameters["loss"] == {"ner": "", "rerank": "listwise"}
    assert parameters["max_query_length"]["rerank"] == "32"
    parameters = dict(continual.values.tolist())
    assert (parameters["max_steps"], parameters["corpora"], parameters["mask_probability"]) == (
        "25000",
        "a b",
        "0.15",
    )
    assert "epochs" not in parameters


def test_the_files_of_table2_have_every_option_once(tmp_path: Path) -> None:
    tasks = {"ner": {"training": {"epochs": 3, "batch_size": 64, "learning_rate": 5e-05}}}
    pretraining = {
        "training": {"max_steps": 25_000, "batch_size": 1024, "learning_rate": 1e-4},
        "options": {"mask_probability": 0.15},
    }
    csv, page = tmp_path / "table2.csv", tmp_path / "table2.html"
    alignment = {"temperature": 0.05}
    write_table2(*table2(tasks, pretraining), alignment, csv, page, title="study", seeds=[1, 2])
    written = pd.read_csv(csv, dtype=str).fillna("").set_index("parameter")
    assert written.index.is_unique
    assert written.loc["batch_size"].tolist() == ["64", "1024"]
    assert written.loc["mask_probability"].tolist() == ["", "0.15"]
    text = page.read_text(encoding="utf-8")
    assert "the seeds 1, 2." in text and "temperature" in text


def test_table3_is_sorted_by_dimension_and_ratio(tmp_path: Path) -> None:
    measurement = {
        "parameters": 178_000_000, "device": "GPU", "processes": 1, "precision": "bf16",
        "batch_size": 1024, "device_batch_size": 128, "sequence_length": 256,
        "steps_measured": 9, "steps_per_second": 1.9, "peak_memory_bytes": 74_600_000_000,
        "memory_of": "GPU",
    }  # fmt: skip
    files, all_logits = [], []
    for name in ("d128/ungrouped", "dfull/ungrouped", "dfull/kmeans-cosine-0.05"):
        path = tmp_path / f"masked-logits/mbert/unaligned/{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(measurement, path)
        all_logits_measurement = {
            "steps_per_second": 0.7,
            "peak_memory_bytes": 130_100_000_000,
            "logits": "all",
        }
        files.append(path)
        all_logits.append(tmp_path / f"all-logits/mbert/unaligned/{name}.json")
        all_logits[-1].parent.mkdir(parents=True, exist_ok=True)
        write_json(measurement | all_logits_measurement, all_logits[-1])
    table = table3(files, all_logits, 768)
    assert table[["dim", "ratio"]].values.tolist() == [[768, 0.05], [768, 1.0], [128, 1.0]]
    numbers = table.loc[0, ["parameters_m", "peak_memory_gb", "steps_per_second"]]
    assert numbers.tolist() == pytest.approx([178, 74.6, 1.9])
    all_logits_numbers = table.loc[0, ["peak_memory_all_logits_gb", "steps_per_second_all_logits"]]
    assert all_logits_numbers.tolist() == pytest.approx([130.1, 0.7])


def test_the_page_of_table3_marks_the_best_and_the_worst(tmp_path: Path) -> None:
    table = pd.DataFrame({"dim": 768, "ratio": [0.05, 1.0], "memory_of": "GPU"})
    table = table.assign(**dict.fromkeys(HEADS, 7.0))
    table["peak_memory_gb"], table["steps_per_second"] = [20.0, 75.0], [3.5, 1.9]
    csv, page = tmp_path / "table3.csv", tmp_path / "table3.html"
    write_table3(table, csv, page, title="study")
    assert pd.read_csv(csv)["ratio"].tolist() == [0.05, 1.0]
    text = page.read_text(encoding="utf-8")
    marked = re.findall(r'<td class="(green|red)">([^<]*)</td>', text)
    assert sorted(marked) == [
        ("green", "20.00"), ("green", "3.50"), ("red", "1.90"), ("red", "75.00"),
    ]  # fmt: skip
    assert "the peak memory of the GPU" in text


ROWS = [
    {
        "backbone": "mbert", "alignment": "unaligned", "dimension": "dfull", "grouping": grouping,
        "pretraining": "asis", "training": "eng",
    }
    for grouping in ("ungrouped", "lexicon-muse", "kmeans-cosine-0.4")
]  # fmt: skip


@pytest.mark.parametrize(
    ("language", "expected", "items"), [("zho", [0.4, 0.2, 0.3], 4), (None, [0.5, 0.4, 0.6], 8)]
)
def test_table4_covers_one_language_or_all_but_that_of_the_training(
    language: str | None, expected: list[float], items: int
) -> None:
    in_chinese = {"ungrouped": 0.4, "lexicon-muse": 0.2, "kmeans-cosine-0.4": 0.3}
    overall = {"ungrouped": 0.5, "lexicon-muse": 0.4, "kmeans-cosine-0.4": 0.6}

    def by_language_of(row: Mapping[str, Any], task: str, seed: int) -> dict[str, float]:
        shift = 0.01 if seed == 2 else -0.01
        grouping = row["grouping"]
        other = 2 * overall[grouping] - in_chinese[grouping]
        return {"zho": in_chinese[grouping] + shift, "deu": other + shift, "eng": 0.9}

    # Chance in Chinese is between the scores of K-Means and of the lexicon's groups.
    chance = 0.25 if language else 0.0
    scores = even_scores(ROWS, ["search"], [1, 2], by_language_of, chance=chance)["search"]
    ratios = {f"mbert/unaligned/dfull/{row['grouping']}/asis": 0.9 for row in ROWS}
    table = table4(ROWS, LexiconTask("search", language), "ndcg_at_10", scores, ratios)
    assert table["method"].tolist() == ["oracle", "lexicon: muse", "K-Means"]
    assert table["ndcg_at_10"].tolist() == pytest.approx(expected)
    assert table["ndcg_at_10_std"].tolist() == pytest.approx([0.02 / 2**0.5] * 3)
    # The t interval of two seeds, .01 above and below the mean.
    widths = table["ndcg_at_10_high"] - table["ndcg_at_10_low"]
    assert widths.tolist() == pytest.approx([2 * 12.7062 * 0.01] * 3, rel=1e-4)
    assert set(table["items"]) == {items}
    # K-Means is .05 above chance, and the interval reaches .127 below it.
    above = ["yes", "no", "no"] if language else ["yes"] * 3
    assert table["above_chance"].tolist() == above


def test_the_page_of_table4_describes_its_score(tmp_path: Path) -> None:
    line = {"method": "K-Means", "ratio": 0.4, "accuracy": 0.5, "accuracy_low": 0.25}
    table = pd.DataFrame([line | {"accuracy_high": 0.75, "items": 4, "recipe": "a"}])
    csv, page = tmp_path / "table4.csv", tmp_path / "table4.html"
    write_table4(
        table, csv, page, shown=LexiconTask("nli", "zho"), metric="accuracy",
        trainings=["eng", "eng"], title="study", confidence=0.9,
    )  # fmt: skip
    assert "0.4000,0.5000,0.2500,0.7500" in csv.read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    assert " of nli in zho, trained on eng. The coverage" in text and "90% interval" in text
    assert "40.0%" in text


def test_recipes_have_readable_names() -> None:
    names = {
        Recipe("mbert"): "oracle",
        Recipe("mbert", grouping="kmeans-cosine-0.4"): "K-Means",
        Recipe("mbert", grouping="firstk-0.1"): "First-k",
        Recipe("mbert", grouping="lexicon-a+b"): "lexicon: a + b",
        Recipe("mbert", "clsa-a+b"): "oracle, aligned by a + b",
        Recipe("mbert", "clsa-a", "d8", "random-0.4", "mlm"): (
            "random groups, aligned by a, 8 dimensions, pretrained"
        ),
    }
    for recipe, name in names.items():
        assert method_name(recipe) == name


def test_ratio_is_read_from_the_groups_file(tmp_path: Path) -> None:
    groups = {"weight": np.zeros((3, 2), np.float32), "token_to_group": np.zeros(4, np.int64)}
    save_file(groups, tmp_path / "groups.safetensors")
    assert ratio_of_file(tmp_path / "groups.safetensors") == 0.75
