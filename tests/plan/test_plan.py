"""The plan: costs of jobs, and messages about costs that cannot be counted."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import BertConfig

from semantic_tokens.plan.architecture import Architecture
from semantic_tokens.plan.costs import Cost, costs_of
from semantic_tokens.plan.data import Data
from semantic_tokens.plan.finished_trainings import FinishedTrainings, finished_trainings
from semantic_tokens.plan.operations import pretraining_operations, task_operations
from semantic_tokens.plan.report import report
from semantic_tokens.plan.study import Study
from semantic_tokens.plan.throughput import Throughput, measured_rate

SHAPE = {"layers": 2, "hidden": 16, "feed_forward": 32, "vocabulary": 1000}
SMALL = Architecture.of_shape(**SHAPE)
ONE = Throughput(rate=1.0, origin="given", utilisation=1.0)


def test_replicates_multiply_seeded_jobs_but_not_data_jobs(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"grouping": "kmeans-cosine-0.05", "pretraining": "mlm"}]
    once, thrice = (planned(rows, tmp_path, replicates=n) for n in (1, 3))
    for rule in ("group_kmeans", "pretrain", "fine_tune", "extract_embeddings"):
        assert thrice[rule].jobs == 3 * once[rule].jobs
        assert thrice[rule].operations == pytest.approx(3 * once[rule].operations)
    for rule in ("derive_backbone", "read_dataset", "tokenize_dataset", "read_corpus", "baseline"):
        assert thrice[rule].jobs == once[rule].jobs
    assert thrice["replicate_backbone"].jobs == 2
    assert "replicate_backbone" not in once


def test_task_cost_grows_with_the_data_up_to_max_steps() -> None:
    training = {"epochs": 2, "batch_size": 10}
    lengths = {"tokens": 128}

    def cost(
        train: int = 100, kind: str = "pair_classification", **more: Any
    ) -> tuple[float, float]:
        counts = {"train": train, "test": 50}
        return task_operations(kind, SMALL, counts, lengths, {}, training | more)

    trained, scored = cost()
    text = SMALL.text(128)
    assert trained == 2 * 100 * text.step and scored == 50 * text.forward
    assert cost(kind="token_classification") == (trained, scored)
    assert cost(train=200)[0] == 2 * trained
    assert cost(max_steps=5)[0] == trained / 4
    assert cost(max_steps=500)[0] == trained
    again = cost(gradient_checkpointing=True)[0]
    assert again == trained + 2 * 100 * text.forward  # activations are computed twice


def test_ranking_cost_counts_pairs_lists_and_passages() -> None:
    counts = {"train": 10, "relevant": 2.0, "test": 3, "passages": 1000}
    lengths = {"query_tokens": 32, "passage_tokens": 128}
    training = {"epochs": 1, "batch_size": 4}
    options = {
        "negatives_per_query": 4,
        "rerank_depth": 100,
        "max_length": 150,
        "loss": "pointwise",
    }
    pair = SMALL.text(150)
    pointwise = task_operations("reranking", SMALL, counts, lengths, options, training)
    assert pointwise == (10 * (2 + 4) * pair.step, 3 * 100 * pair.forward)
    listwise = task_operations(
        "reranking", SMALL, counts, lengths, options | {"loss": "listwise"}, training
    )
    assert listwise[0] == 10 * 2 * (1 + 4) * pair.step
    short = task_operations(
        "reranking", SMALL, counts, lengths, options | {"max_length": 512}, training
    )
    assert short[1] == 3 * 100 * SMALL.text(32 + 128 + 3).forward  # the length of its two texts
    query, passage = (SMALL.text(length) for length in (32, 128))
    options = {"negatives_per_query": 1}
    one_batch = task_operations("retrieval", SMALL, counts, lengths, options, training)
    assert one_batch == (
        10 * (query.step + 2 * passage.step),
        1000 * passage.forward + 3 * query.forward,
    )
    two_batches = task_operations(
        "retrieval", SMALL, counts, lengths, options, training | {"device_batch_size": 2}
    )
    # With smaller device batches, every text is encoded one more time.
    assert two_batches[0] == one_batch[0] + 10 * (query.forward + 2 * passage.forward)


def test_pretraining_cost_counts_steps_head_and_held_out_text() -> None:
    options: dict[str, Any] = {
        "training": {"max_steps": 10, "batch_size": 8},
        "sequence_length": 64,
        "mask_probability": 0.25,
        "held_out_sequences": 3,
    }
    text, head = SMALL.text(64), SMALL.prediction(50, 16)
    masked_logits = pretraining_operations(SMALL, 50, 16, options, languages=2)
    steps = 10 * 8 * (text.step + 16 * head.step)
    assert masked_logits == pytest.approx(steps + 6 * (text.forward + 16 * head.forward))
    options["logits"] = "all"
    all_logits = pretraining_operations(SMALL, 50, 16, options, languages=2)
    assert all_logits - masked_logits == pytest.approx(48 * (10 * 8 * head.step + 6 * head.forward))


ROW = {
    "backbone": "mbert",
    "alignment": "unaligned",
    "dimension": "dfull",
    "grouping": "ungrouped",
    "pretraining": "asis",
    "training": "all-languages",
}


def study_of(results: Path, **change: Any) -> Study:
    options: dict[str, Any] = {
        "tasks": {
            "nli": {
                "kind": "pair_classification",
                "dataset": "xnli",
                "options": {},
                "training": {"epochs": 1, "batch_size": 8},
            }
        },
        "datasets": {
            "xnli": {
                "kind": "pair_classification",
                "tokenization": {"max_length": 64},
                "counts": {"train": 100, "test": 10},
            }
        },
        "backbones": {"mbert": {"shape": SHAPE}},
        "corpora": {name: {"download": "wikipedia"} for name in ("wikipedia_deu", "wikipedia_zho")},
        "sizes": {"wikipedia": 3000.0},
        "pretraining": {
            "corpora": ["wikipedia_deu", "wikipedia_zho"],
            "training": {"max_steps": 10, "batch_size": 8},
            "sequence_length": 64,
            "mask_probability": 0.15,
        },
        "kmeans": {"max_iterations": 10},
        "seeds": [1, 2],
        "resegment": True,
    }
    return Study(results=results, **options | change)


def planned(rows: list[dict[str, str]], results: Path, **change: Any) -> dict[str, Cost]:
    return costs_of(study_of(results, **change), rows)


def test_shared_jobs_of_experiments_are_counted_once(tmp_path: Path) -> None:
    grouped = ROW | {"alignment": "clsa-muse", "grouping": "kmeans-cosine-0.05"}
    rows = [ROW, grouped, grouped | {"pretraining": "mlm"}, grouped | {"dimension": "d8"}]
    costs = planned(rows, tmp_path)
    jobs = {rule: cost.jobs for rule, cost in costs.items()}
    assert jobs["align"] == jobs["extract_embeddings"] == jobs["derive_backbone"] == 1
    assert jobs["group_kmeans"] == 2 and jobs["pretrain"] == 1
    assert "leave_ungrouped" not in jobs and "assemble_model" not in jobs
    assert jobs["reduce_dimension"] == 1 and "truncate_tokenizer" not in jobs
    assert jobs["fine_tune"] == 4 * 2
    products = 2 * 1000 * 50
    assert costs["group_kmeans"].operations == 5 * products * (16 + 8)  # five passes on a CPU
    on_gpu = planned(rows, tmp_path, gpus_per_job=1)
    assert on_gpu["group_kmeans"].operations == 2 * costs["group_kmeans"].operations
    assert costs["extract_embeddings"].bytes == 1000 * 16 * 4


def test_trainings_are_those_of_the_tasks_of_each_row(tmp_path: Path) -> None:
    """A row may have its own task, and leave out shown ones; their data count only for its text."""
    study = study_of(tmp_path)
    nli, xnli = study.tasks["nli"], study.datasets["xnli"]
    change: dict[str, Any] = {
        "tasks": {"nli": nli, "names": nli | {"dataset": "names"}},
        "further_tasks": {"own": nli | {"dataset": "own"}},
        "datasets": {"xnli": xnli, "names": xnli, "own": xnli},
    }
    without_names = ROW | {"training": "eng", "left_out": ["names"]}
    first_k = ROW | {"grouping": "firstk-0.4"}
    with_own = first_k | {"left_out": ["nli", "names"], "own_tasks": ["own"]}
    costs = planned([ROW, without_names, with_own], tmp_path, **change)
    assert costs["fine_tune"].jobs == 2 * (2 + 1 + 1)
    assert costs["read_dataset"].jobs == costs["baseline"].jobs == 3
    # Two datasets in the original segmentation, and one in First-k's.
    assert costs["tokenize_dataset"].jobs == 3
    again = planned([first_k, with_own], tmp_path, **change)
    assert again["fine_tune"].jobs == 2 * (2 + 1)  # the same model as another figure's row
    only_nli = costs_of(study_of(tmp_path, **change), [ROW, without_names, with_own], ["nli"])
    assert only_nli["fine_tune"].jobs == 2 * (1 + 1 + 1)
    assert study_of(tmp_path, **change).full_lengths([with_own]) == ["xnli", "names", "own"]


def test_a_plan_of_everything_counts_what_is_measured(tmp_path: Path) -> None:
    def row(grouping: str, alignment: str = "clsa-muse") -> dict[str, Any]:
        shown = {"figure": "oracle", "table5": True, "reference": False}
        changed = {"alignment": alignment, "grouping": grouping, "pretraining": "mlm"}
        return ROW | shown | changed

    rows = [row("kmeans-cosine-0.05"), row("kmeans-cosine-0.1"), row("firstk-0.05", "unaligned")]
    rows.append(row("kmeans-cosine-0.1", "unaligned"))  # as expensive as the aligned one
    pretraining = study_of(tmp_path).pretraining | {"measured_steps": 5}
    costs = planned(rows, tmp_path, pretraining=pretraining, measures=True, replicates=2)
    assert costs["measure_pretraining"].jobs == 2 * 2
    assert costs["pretrain"].jobs == 2 * 4 and costs["group_kmeans"].jobs == 2 * 3
    assert costs["group_random"].jobs == 2  # beside a curve of two ratios, of one replicate
    head = {ratio: SMALL.prediction(round(1000 * ratio), 16) for ratio in (0.05, 0.1)}
    sequences, text = 5 * 8, SMALL.text(64)
    assert costs["measure_pretraining"].operations == pytest.approx(
        sum(
            sequences * (2 * text.step + 64 * (0.15 + 1) * head[ratio].step)
            for ratio in (0.05, 0.1)
        )
    )
    only_table5 = planned(rows, tmp_path, pretraining=pretraining)
    assert "measure_pretraining" not in only_table5 and "group_random" not in only_table5


def test_disk_is_estimated_from_downloads_or_existing_files(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"pretraining": "mlm"}]
    ranking = {
        "kind": "ranking",
        "download": ["topics", "passages"],
        "tokenization": {"max_query_length": 8, "max_passage_length": 16},
        "counts": {"train": 30, "test": 20, "relevant": 2.0, "passages": 10_000},
        "options": {"languages": ["deu", "zho"]},
    }
    task = {
        "kind": "retrieval",
        "dataset": "miracl",
        "options": {"negatives_per_query": 1},
        "training": {"batch_size": 8},
    }

    def disk(**pool: Any) -> dict[str, Any]:
        return planned(
            rows,
            tmp_path,
            tasks={"retrieval": task},
            datasets={"miracl": ranking | pool},
            sizes={"wikipedia": 3000.0, "topics": 1.0, "passages": 99.0},
        )

    full = disk()
    # A download of 3 GB is 9 GB of text, in two corpora. A token id is as long as its text.
    assert full["read_corpus"].bytes == full["tokenize_corpus"].bytes == pytest.approx(9e9)
    assert full["read_ranking_dataset"].bytes == full["tokenize_ranking"].bytes == 300e6
    assert full["rank_bm25"].scratch == 2.5 * 300e6
    assert "pool_passages" not in full
    pooled = disk(pool={"depth": 10, "random_per_language": 200, "seed": 1})
    pooled_share = ((30 + 20) * (2 + 10) + 2 * 200) / 10_000
    assert pooled["pool_passages"].jobs == 1
    assert pooled["tokenize_ranking"].bytes == pytest.approx(pooled_share * 300e6)
    assert pooled["read_ranking_dataset"].bytes == 300e6
    forward = SMALL.text(16).forward
    saved = full["fine_tune"].operations - pooled["fine_tune"].operations
    assert saved == pytest.approx(
        2 * 2 * (1 - pooled_share) * 10_000 * forward
    )  # two rows, two seeds

    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora/wikipedia_deu.jsonl").write_bytes(b"x" * 1000)
    (tmp_path / "datasets/miracl").mkdir(parents=True)
    (tmp_path / "datasets/miracl/passages.jsonl").write_bytes(b"x" * 500)
    from_files = disk()
    assert from_files["read_corpus"].bytes == pytest.approx(4.5e9 + 1000)
    assert from_files["read_ranking_dataset"].bytes == 500


def test_report_shows_total_disk_and_unknown_sizes(tmp_path: Path) -> None:
    rows = [ROW | {"pretraining": "mlm"}]
    training = {"training": {"max_steps": 10, "batch_size": 8, "checkpoint_every": 5}}
    costs = planned(
        rows,
        tmp_path,
        pretraining={"corpora": [], "sequence_length": 8, "mask_probability": 0.15} | training,
    )
    weights = 4 * (SMALL.encoder_parameters + 1000 * 16)
    assert costs["pretrain"].scratch == 6 * weights and costs["fine_tune"].scratch == 0
    assert costs["derive_backbone"].bytes == weights
    page = report(costs, {"a": {"hub": "o/a", "size_mb": 2000}}, ONE)
    written = sum(cost.bytes for cost in costs.values())
    assert f"2.0 GB of downloads and {written / 1e6:.1f} MB written" in page
    assert f"{2 + written / 1e9:.1f} GB in total" in page
    assert f"up to {6 * weights / 1e6:.1f} MB for a job while it runs" in page
    assert "2 jobs: disk of text whose source has no known size" in page  # XNLI, read and tokenised


def test_existing_files_override_reported_counts(tmp_path: Path) -> None:
    reported = planned([ROW], tmp_path)["fine_tune"].operations
    dataset = tmp_path / "datasets/xnli"
    dataset.mkdir(parents=True)
    for split, count in (("train", 200), ("test", 20)):
        (dataset / f"{split}.jsonl").write_text("{}\n" * count, encoding="utf-8")
    assert planned([ROW], tmp_path)["fine_tune"].operations == 2 * reported
    bert_config = BertConfig(
        num_hidden_layers=1, hidden_size=16, intermediate_size=32, num_attention_heads=2
    )
    bert_config.save_pretrained(tmp_path / "backbones/mbert")
    text = Architecture.of_shape(**SHAPE | {"layers": 1}).text(64)
    from_files = planned([ROW], tmp_path)["fine_tune"].operations
    assert from_files == pytest.approx(2 * (200 * text.step + 20 * text.forward))


def test_sizes_are_read_from_a_local_checkpoint(tmp_path: Path) -> None:
    bert_config = BertConfig(
        num_hidden_layers=4, hidden_size=16, intermediate_size=32, num_attention_heads=2
    )
    bert_config.save_pretrained(tmp_path / "own")
    backbones = {"mbert": {"path": str(tmp_path / "own"), "layers": 2}}
    from_checkpoint = planned([ROW], tmp_path, backbones=backbones)
    assert (
        from_checkpoint["fine_tune"].operations == planned([ROW], tmp_path)["fine_tune"].operations
    )


def test_lengths_are_measured_from_tokenized_data(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    assert study.data.lengths("xnli", "mbert") == {"tokens": 64}
    assert study.full_lengths([ROW]) == ["xnli"]
    reported = {"counts": {"train": 100, "test": 10, "tokens": 20.5}}
    study = study_of(tmp_path, datasets={"xnli": study.datasets["xnli"] | reported})
    assert study.data.lengths("xnli", "mbert") == {"tokens": 20.5}
    assert study.full_lengths([ROW]) == []
    folder = tmp_path / "tokenized/mbert/original/xnli"
    folder.mkdir(parents=True)
    rows = {"id": ["a", "b", "c"], "input_ids": [[1, 2, 3, 4], [5, 6, 7], [8, 9]]}
    pq.write_table(pa.table(rows), folder / "train.parquet", row_group_size=2)
    counts = Data(tmp_path, {}, {}, study.datasets).counts("xnli", "mbert")
    assert counts == {"train": 3, "test": 10, "tokens": 3.0}
    # A named run uses the files that it shares with another run, and no others.
    shared = {"tokenized/mbert/original/xnli": str(folder)}
    run = study_of(tmp_path / "runs/own", shared_files=shared)
    assert run.data.lengths("xnli", "mbert") == {"tokens": 3.0}
    assert study_of(tmp_path / "runs/own").data.lengths("xnli", "mbert") == {"tokens": 64}


def test_costs_that_cannot_be_counted_are_reported(tmp_path: Path) -> None:
    costs = planned([ROW, ROW | {"training": "eng"}], tmp_path, backbones={"mbert": {}})
    assert costs["fine_tune"].operations == 0
    costs |= planned([ROW | {"training": "eng"}], tmp_path)
    downloads = {
        "xnli": {"hub": "facebook/xnli", "licence": "CC BY-NC 4.0", "size_mb": 450},
        "wikipedia": {"hub": "wikimedia/wikipedia"},
    }
    page = report(costs, downloads, ONE)
    assert "2 jobs: training in eng only" in page
    assert "450 MB  and 1 of unknown size" in page
    assert "facebook/xnli (CC BY-NC 4.0)" in page
    del downloads["wikipedia"]
    page = report(costs, downloads, ONE)
    assert page.endswith("450 MB\n")


def row_of(page: str, name: str) -> list[str]:
    """The words of the first line of the page that starts with this word."""
    return next(words for line in page.splitlines() if (words := line.split())[:1] == [name])


def test_hours_are_operations_over_throughput_plus_job_starts(tmp_path: Path) -> None:
    costs = planned([ROW], tmp_path)
    throughput = Throughput(100.0, "given", utilisation=0.5, seconds_per_job=7200.0)
    hours = costs["fine_tune"].operations / 3600 / 50 + 2 * 2
    assert row_of(report(costs, {}, throughput), "fine_tune")[1:3] == ["2", f"{hours:,.1f}"]
    # With GPUs, jobs without a GPU have no hours.
    throughput = Throughput(100.0, "given", utilisation=0.5, gpus_per_job=1)
    page = report(costs, {}, throughput)
    assert row_of(page, "derive_backbone")[1:3] == ["1", "-"]
    assert row_of(page, "total")[2] == row_of(page, "fine_tune")[2] == f"{hours - 4:,.1f}"


def test_wall_time_is_divided_among_parallel_jobs() -> None:
    costs = {
        "pretrain": Cost(jobs=10, operations=36_000, largest=7200),
        "fine_tune": Cost(jobs=100, operations=360_000, largest=3600),
        "read_corpus": Cost(jobs=1),
    }

    def hours(**more: Any) -> float:
        return Throughput(1.0, "given", utilisation=1.0, **more).wall_hours(costs)

    assert hours() == pytest.approx(110)
    assert hours(at_once=10) == pytest.approx(11)
    assert hours(at_once=1000) == pytest.approx(2 + 1)
    assert hours(at_once=10, seconds_per_job=36.0) == pytest.approx(11 + 111 * 0.01 / 10)
    assert hours(at_once=5, gpus_per_job=2) == pytest.approx(11)
    page = report(costs, {}, Throughput(1.0, "given", utilisation=1.0, at_once=10))
    assert "about 11.0 hours in total with 10 jobs at a time" in page


def test_a_plan_with_uncounted_jobs_is_a_lower_bound() -> None:
    known, unknown = Cost(jobs=10, operations=36_000), Cost(jobs=3)
    unknown.leave_out("backbone mmbert has no `shape` yet", 3)
    page = report({"a": known, "fine_tune": unknown}, {}, ONE, full_lengths=["xnli"])
    assert re.search(r"at least 10\.0 hours in total .*\n  without 3 jobs \(see Not counted", page)
    assert "upper bound" not in page.replace("\n ", "")
    page = report({"a": known}, {}, ONE, full_lengths=["xnli"])
    assert "about 10.0 hours in total" in page and "upper bound" in page.replace("\n ", "")


def test_price_is_gpu_hours_times_the_price_per_hour(tmp_path: Path) -> None:
    costs = {"fine_tune": Cost(jobs=1, operations=10 * 3600)}
    throughput = Throughput(1.0, "given", utilisation=1.0, gpus_per_job=1, price_per_gpu_hour=2.5)
    assert "price: 25.00, 10.0 GPU-hours at throughput.price_per_gpu_hour 2.5" in report(
        costs, {}, throughput
    )
    assert "price" not in report(costs, {}, ONE)


def test_plan_is_compared_with_finished_trainings(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"pretraining": "mlm"}]
    study = study_of(tmp_path)
    assert finished_trainings(study, rows, tmp_path / "benchmarks") is None
    for name, seconds in (
        ("fine_tune/mbert/unaligned/dfull/ungrouped/asis/nli/all-languages/seed-2.tsv", 20.0),
        ("pretrain/mbert/unaligned/dfull/ungrouped.tsv", 100.0),
    ):
        path = tmp_path / "benchmarks" / name
        path.parent.mkdir(parents=True)
        path.write_text(f"s\th:m:s\n{seconds}\t0:00:20\n", encoding="utf-8")
    found = finished_trainings(study, rows, tmp_path / "benchmarks")
    costs = costs_of(study, rows)
    operations = costs["fine_tune"].operations / 4 + costs["pretrain"].operations
    assert found is not None
    assert (found.jobs, found.seconds) == (2, 120.0)
    assert found.operations == pytest.approx(operations)
    throughput = Throughput(operations / 50, "given", utilisation=0.25, seconds_per_job=10.0)
    assert found.planned_seconds(throughput) == pytest.approx(2 * 10 + 200)
    assert found.utilisation(throughput) == pytest.approx(0.5)
    page = " ".join(report(costs, {}, throughput, finished=found).split())
    assert "2 trainings are finished and took 0.033 hours; the plan says 0.061." in page
    assert "With `throughput.utilisation: 0.5` it would be right." in page
    assert FinishedTrainings(2, 19.0, 1.0).utilisation(throughput) is None


def test_throughput_of_the_machine_is_measured() -> None:
    rate, what = measured_rate(seconds=0.1)
    assert rate > 1e9 and what
