"""Changes make only the affected jobs and those that depend on them stale."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from study import Study

PROVENANCE = {"provenance": 1}
TABLES = {"table5": 1, "claims": 1, "comparison": 1, "significance": 1} | PROVENANCE
# Figures 3 and 5, and the controls, which are First-k here.
SHOWN = TABLES | {"figure_curves": 3, "controls": 1}
# Everything after the groups of the aligned experiment, which is only in Figure 5.
GROUPED = {"group_kmeans": 1, "pretrain": 1, "measure_pretraining": 2, "fine_tune": 5} | TABLES
GROUPED |= {"figure_curves": 1, "table3": 1, "group_quality": 1, "explorer": 1}
GROUPED |= {"figure_group_quality": 1, "figure_pretraining": 1, "held_out": 1}
# Both pretrained models, and their figures and measurements.
PRETRAINED = {"pretrain": 2, "measure_pretraining": 4, "figure_pretraining": 1, "fine_tune": 10}
PRETRAINED |= {"held_out": 1}
# Figure 3 has First-k of two backbones, and so no pretrained oracle.
PRETRAINED |= {"figure_curves": 2}
# Rules that read scores with task_scores.py, and not only the items.
READING_SCORES = {
    rule: n for rule, n in SHOWN.items() if rule not in ("significance", "claims")
} | {"table4": 1, "held_out": 1}
WORDPIECE_SCORES = "results/scores/wordpiece/unaligned/dfull/firstk-0.4/asis"


def test_another_mirror_makes_nothing_stale(study: Study) -> None:
    assert study.stale(change={"mirrors": {"hub": "/data/hub"}}) == {}


def test_nothing_is_stale_after_a_full_run(study: Study) -> None:
    assert study.stale("all", "download") == {}


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        # one task's training
        ({"tasks": {"ner": {"training": {"learning_rate": 0.0001}}}}, {"fine_tune": 5, "table2": 1} | SHOWN),
        # a second seed leaves the first one's scores
        ({"seeds": [1, 2]}, {"fine_tune": 27, "table2": 1, "table4": 1} | SHOWN),
        # a lexicon: the embeddings aligned by it, and nothing unaligned
        (
            {"lexicons": {"numbers": {"options": {"up_to": 30}}}},
            {"read_lexicon": 1, "align": 1, "reduce_dimension": 1} | GROUPED,
        ),
        (
            {"alignment": {"training": {"temperature": 0.1}}},
            {"align": 1, "reduce_dimension": 1, "table2": 1} | GROUPED,
        ),
        ({"grouping": {"kmeans": {"max_iterations": 4}}}, GROUPED),
        # First-k without its own tokenizer: text segmented by the backbone
        (
            {"grouping": {"first_k": {"mode": "unk"}}},
            {"tokenize_dataset": 3, "tokenize_ranking": 1, "fine_tune": 10}
            | {"claims": 1, "controls": 1, "figure_curves": 2, "significance": 1} | PROVENANCE,
        ),
        (
            {"pretraining": {"training": {"max_steps": 3}}},
            {"table2": 1, "table3": 1} | SHOWN | PRETRAINED,
        ),
        (
            {"pretraining": {"sequence_length": 16}},
            {"tokenize_corpus": 1, "table2": 1, "table3": 1} | SHOWN | PRETRAINED,
        ),
        # a dataset: the tasks on it
        (
            {"datasets": {"mini_names": {"options": {"seed": 2}}}},
            {"read_dataset": 1, "tokenize_dataset": 3, "fine_tune": 5, "baseline": 1, "table1": 1}
            | SHOWN,
        ),
        # chance in reranking, and BM25 in both tasks; Table 2 has the depth of reranking
        (
            {"bm25": {"depth": 4}},
            {"rank_bm25": 1, "fine_tune": 12, "baseline": 3, "table2": 1, "table4": 1} | SHOWN,
        ),
        (
            {"title": "Another study"},
            {f"table{number}": 1 for number in range(1, 5)}
            | {"controls": 1, "held_out": 1, "group_quality": 1, "figure_group_quality": 1, "explorer": 1} | TABLES,
        ),
        ({"lexicon_comparison": {"language": "deu"}}, {"table4": 1, "claims": 1} | PROVENANCE),
        (
            {"significance": {"resamples": 300}},
            {"table4": 1, "held_out": 1, "group_quality": 1, "figure_group_quality": 1} | SHOWN,
        ),
        ({"claims": {"margin": 3}}, {"claims": 1} | PROVENANCE),
        # no effect on results
        ({"memory_mb": {"training": 4000}, "runtime_minutes": {"fine_tuning": 60}}, {}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_changed_config_makes_dependent_jobs_stale(
    study: Study, change: dict[str, Any], stale: dict[str, int]
) -> None:
    assert study.stale(change=change) == stale


@pytest.mark.parametrize(
    ("row", "stale"),
    [
        (
            "figure3 no no unigram unaligned dfull kmeans-cosine-0.05 asis all-languages",
            {
                "group_kmeans": 1,
                "figure_curves": 2,
                "controls": 1,
                "group_quality": 1,
                "figure_group_quality": 1,
                "explorer": 1,
            },
        ),
        # The explorer shows the dimension with the most K-Means groupings, and not these.
        (
            "lexicon no no unigram clsa-numbers+roundtrip dfull lexicon-emoji asis all-languages",
            {"align": 1, "group_by_lexicon": 1},
        ),
    ],
    ids=["kmeans", "lexicon"],
)
def test_new_experiment_reuses_existing_files(
    study: Study, row: str, stale: dict[str, int]
) -> None:
    table = (study.folder / "config/experiments.tsv").read_text(encoding="utf-8")
    longer_table = study.folder / "config/longer_table.tsv"
    longer_table.write_text(table + row.replace(" ", "\t") + "\n", encoding="utf-8")
    jobs_of_any_row = {
        "fine_tune": 5,
        "figure_pipelines": 1,
        "significance": 1,
        "claims": 1,
    } | PROVENANCE
    assert study.stale(change={"experiments": "config/longer_table.tsv"}) == stale | jobs_of_any_row


@pytest.fixture
def edited(request: pytest.FixtureRequest, study: Study, tmp_path: Path) -> Iterator[None]:
    """Add a line to a file of the study or its checkout. Restore it with its date."""
    origin, name = request.param
    path = getattr(study, origin) / name
    backup = tmp_path / path.name
    shutil.copy2(path, backup)
    with path.open("a", encoding="utf-8") as file:
        file.write("A_LINE_MORE = 1\n" if path.suffix == ".py" else "# A line more.\n")
    yield
    shutil.copy2(backup, path)


@pytest.mark.parametrize(
    ("edited", "stale"),
    [
        (("checkout", "workflow/semantic_tokens/grouping/kmeans/lloyd.py"), GROUPED),
        (
            ("checkout", "workflow/semantic_tokens/tasks/reranking.py"),
            {"fine_tune": 5} | SHOWN,
        ),
        (("checkout", "workflow/semantic_tokens/evaluation/task_scores.py"), READING_SCORES),
        (
            ("folder", "config/text/deu.txt"),
            {"read_corpus": 1, "tokenize_corpus": 1, "table3": 1} | SHOWN | PRETRAINED,
        ),
    ],
    indirect=["edited"],
    ids=["kmeans", "reranking", "tables", "corpus"],
)
@pytest.mark.usefixtures("edited")
def test_edited_file_makes_dependent_jobs_stale(study: Study, stale: dict[str, int]) -> None:
    assert study.stale() == stale


@pytest.fixture
def deleted(request: pytest.FixtureRequest, study: Study, tmp_path: Path) -> Iterator[str]:
    """The path of a file of the study that is removed during a test."""
    path = study.folder / request.param
    backup = shutil.move(path, tmp_path / path.name)
    yield request.param
    shutil.move(backup, path)


@pytest.mark.parametrize("deleted", ["results/table5.tex"], indirect=True)
@pytest.mark.usefixtures("deleted")
def test_deleted_table_does_not_repeat_earlier_jobs(study: Study) -> None:
    assert study.stale() == {"table5": 1, "comparison": 1} | PROVENANCE


@pytest.mark.parametrize(
    "deleted", [f"{WORDPIECE_SCORES}/ner/all-languages/seed-1.json"], indirect=True
)
def test_deleted_score_is_made_again_only_on_request(study: Study, deleted: str) -> None:
    """The tables that used the score are still complete."""
    assert study.stale(deleted) == {"fine_tune": 1}
    assert study.stale() == {}
