"""The plan: its operations are those that torch counts, and what it cannot count it says."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import write_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig

from semantic_tokens.modeling.loading import load_model
from semantic_tokens.modeling.masked_language_modelling import MaskedLanguageModel
from semantic_tokens.plan import (
    Shape,
    measured_throughput,
    plan,
    pretraining_operations,
    report,
    task_operations,
)

MBERT = Shape(layers=12, hidden=768, feed_forward=3072, vocabulary=119_547)
TINY = Shape(layers=1, hidden=16, feed_forward=32, vocabulary=50)


def counted(model: torch.nn.Module, *inputs: torch.Tensor | None, backward: bool = False) -> int:
    """Operations by torch's own counter; its attention is put in as matrix products."""
    with (
        FlopCounterMode(display=False) as counter,
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
    ):
        output = model(*inputs)
        if backward:
            output.backward()
    return counter.get_total_flops()


def test_a_forward_pass_costs_what_torch_counts(tmp_path: Path) -> None:
    files = write_model(tmp_path / "model", torch.arange(TINY.vocabulary))
    encoder = load_model("masked_language_modelling", files).base_model  # without a pooler
    ids = torch.randint(5, TINY.vocabulary, (3, 12))
    assert counted(encoder, ids) == TINY.forward(3 * 12, length=12)


def test_replicates_repeat_what_has_seeds_and_nothing_that_is_read(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"grouping": "kmeans-cosine-0.05", "pretraining": "mlm"}]
    once, thrice = (planned(rows, tmp_path, replicates=n) for n in (1, 3))
    for rule in ("group_kmeans", "pretrain", "fine_tune", "extract_embeddings"):
        assert thrice[rule].jobs == 3 * once[rule].jobs
        assert thrice[rule].operations == pytest.approx(3 * once[rule].operations)
    for rule in ("derive_backbone", "read_dataset", "tokenize_dataset", "read_corpus", "baseline"):
        assert thrice[rule].jobs == once[rule].jobs
    assert thrice["replicate_backbone"].jobs == 2
    assert "replicate_backbone" not in once


def test_a_step_of_pretraining_costs_what_torch_counts(tmp_path: Path) -> None:
    groups, dimension = 25, 6
    files = write_model(tmp_path / "model", torch.arange(TINY.vocabulary) // 2, dimension)
    model = MaskedLanguageModel(load_model("masked_language_modelling", files))
    ids = torch.randint(5, TINY.vocabulary, (4, 10))
    masked = torch.full_like(ids, -100)
    masked[:, ::2] = ids[:, ::2]
    options = {
        "training": {"max_steps": 1, "batch_size": 4},
        "sequence_length": 10,
        "mask_probability": 0.5,
    }
    expected = pretraining_operations(TINY, groups, dimension, options)
    # The first layer's input has a gradient, so nothing backward is saved. Of the head's products
    # torch does not count the one that is added in place to the embeddings' gradient.
    added = 2 * int((masked >= 0).sum()) * groups * dimension
    assert counted(model, ids, masked, backward=True) + added == pytest.approx(expected)


def test_tasks_grow_with_their_data_and_end_with_their_steps() -> None:
    training = {"epochs": 2, "batch_size": 10}
    lengths = {"max_length": 128}

    def cost(
        train: int = 100, kind: str = "pair_classification", **more: Any
    ) -> tuple[float, float]:
        counts = {"train": train, "test": 50}
        return task_operations(kind, MBERT, counts, lengths, {}, training | more)

    trained, scored = cost()
    assert trained == 2 * 100 * 3 * MBERT.forward(128, 128) and scored == trained / 12
    assert cost(kind="token_classification") == (trained, scored)
    assert cost(train=200)[0] == 2 * trained
    assert cost(max_steps=5)[0] == trained / 4
    assert cost(max_steps=500)[0] == trained


def test_ranking_counts_pairs_lists_and_the_collection() -> None:
    counts = {"train": 10, "relevant": 2.0, "test": 3, "passages": 1000}
    lengths = {"max_query_length": 32, "max_passage_length": 128}
    training = {"epochs": 1, "batch_size": 4}
    pair = MBERT.forward(256, 256)
    options = {"negatives_per_query": 4, "rerank_depth": 100, "max_length": 256}
    pointwise = task_operations("reranking", MBERT, counts, lengths, options, training)
    assert pointwise == (10 * (2 + 4) * 3 * pair, 3 * 100 * pair)
    lists = task_operations(
        "reranking", MBERT, counts, lengths, options | {"loss": "listwise"}, training
    )
    assert lists[0] == 10 * 2 * (1 + 4) * 3 * pair
    query, passage = (MBERT.forward(length, length) for length in (32, 128))
    options = {"negatives_per_query": 1}
    whole = task_operations("retrieval", MBERT, counts, lengths, options, training)
    assert whole == (10 * 3 * (query + 2 * passage), 1000 * passage + 3 * query)
    parts = task_operations(
        "retrieval", MBERT, counts, lengths, options, training | {"device_batch_size": 2}
    )
    assert parts[0] == whole[0] * 4 / 3  # every text is encoded once more


ROW = {
    "backbone": "mbert",
    "alignment": "unaligned",
    "dimension": "dfull",
    "grouping": "ungrouped",
    "pretraining": "asis",
    "training": "all-languages",
}


def planned(rows: list[dict[str, str]], results: Path, **change: Any) -> Any:
    given: dict[str, Any] = {
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
        "backbones": {"mbert": {"shape": vars(MBERT)}},
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
    return plan(rows, results=results, **given | change)


def test_experiments_share_what_they_have_in_common(tmp_path: Path) -> None:
    grouped = ROW | {"alignment": "clsa-muse", "grouping": "kmeans-cosine-0.05"}
    rows = [ROW, grouped, grouped | {"pretraining": "mlm"}, grouped | {"dimension": "d128"}]
    costs = planned(rows, tmp_path)
    jobs = {rule: cost.jobs for rule, cost in costs.items()}
    assert jobs["align"] == jobs["extract_embeddings"] == jobs["derive_backbone"] == 1
    assert jobs["group_kmeans"] == 2 and jobs["pretrain"] == 1
    assert "leave_ungrouped" not in jobs and "assemble_model" not in jobs
    assert jobs["reduce_dimension"] == 1 and "truncate_tokenizer" not in jobs
    assert jobs["fine_tune"] == 4 * 2
    clusters = round(0.05 * MBERT.vocabulary)
    passes = 10 * 2 * MBERT.vocabulary * clusters
    assert costs["group_kmeans"].operations == passes * 768 + passes * 128
    assert costs["extract_embeddings"].bytes == 119_547 * 768 * 4


def test_disk_is_reckoned_from_downloads_and_then_from_what_was_read(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"pretraining": "mlm"}]
    ranking = {
        "kind": "ranking",
        "download": ["topics", "passages"],
        "tokenization": {"max_query_length": 8, "max_passage_length": 16},
        "counts": {"train": 30, "test": 20, "relevant": 2.0, "passages": 10_000},
        "options": {"languages": ["deu", "zho"]},
    }
    task = {"kind": "retrieval", "dataset": "miracl", "options": {}, "training": {"batch_size": 8}}

    def disk(**pool: Any) -> dict[str, Any]:
        return planned(
            rows,
            tmp_path,
            tasks={"retrieval": task},
            datasets={"miracl": ranking | pool},
            sizes={"wikipedia": 3000.0, "topics": 1.0, "passages": 99.0},
        )

    whole = disk()
    # A download of 3 GB is 9 GB of text, in two corpora; and a token's id is as long as its text.
    assert whole["read_corpus"].bytes == whole["tokenize_corpus"].bytes == pytest.approx(9e9)
    assert whole["read_ranking_dataset"].bytes == whole["tokenize_ranking"].bytes == 300e6
    assert whole["rank_bm25"].scratch == 2.5 * 300e6
    assert "pool_passages" not in whole
    pooled = disk(pool={"depth": 10, "random_per_language": 200, "seed": 1})
    share = ((30 + 20) * (2 + 10) + 2 * 200) / 10_000
    assert pooled["pool_passages"].jobs == 1
    assert pooled["tokenize_ranking"].bytes == pytest.approx(share * 300e6)
    assert pooled["read_ranking_dataset"].bytes == 300e6
    forward = MBERT.forward(16, 16)
    less = whole["fine_tune"].operations - pooled["fine_tune"].operations
    assert less == pytest.approx(2 * 2 * (1 - share) * 10_000 * forward)  # two rows, two seeds

    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora/wikipedia_deu.jsonl").write_bytes(b"x" * 1000)
    (tmp_path / "datasets/miracl").mkdir(parents=True)
    (tmp_path / "datasets/miracl/passages.jsonl").write_bytes(b"x" * 500)
    there = disk()
    assert there["read_corpus"].bytes == pytest.approx(4.5e9 + 1000)
    assert there["read_ranking_dataset"].bytes == 500


def test_disk_adds_up_and_says_what_is_not_known(tmp_path: Path) -> None:
    rows = [ROW | {"pretraining": "mlm"}]
    keeping = {"training": {"max_steps": 10, "batch_size": 8, "checkpoint_every": 5}}
    costs = planned(
        rows,
        tmp_path,
        pretraining={"corpora": [], "sequence_length": 8, "mask_probability": 0.15} | keeping,
    )
    weights = 4 * (MBERT.encoder_parameters + MBERT.vocabulary * MBERT.hidden)
    assert costs["pretrain"].scratch == 6 * weights and costs["fine_tune"].scratch == 0
    assert costs["derive_backbone"].bytes == weights
    page = report(costs, {"a": {"hub": "o/a", "size_mb": 2000}}, rate=1, utilisation=1, origin="")
    written = sum(cost.bytes for cost in costs.values())
    assert f"2.0 GB of downloads and {written / 1e9:.1f} GB written" in page
    assert f"{2 + written / 1e9:.1f} GB in all" in page
    assert f"up to {6 * weights / 1e9:.1f} GB for a job while it runs" in page
    assert "2 jobs: disk of text whose source has no known size" in page  # XNLI, read and tokenised


def test_what_is_there_already_counts_more_than_what_is_said(tmp_path: Path) -> None:
    said = planned([ROW], tmp_path)["fine_tune"].operations
    dataset = tmp_path / "datasets/xnli"
    dataset.mkdir(parents=True)
    for split, count in (("train", 200), ("test", 20)):
        (dataset / f"{split}.jsonl").write_text("{}\n" * count, encoding="utf-8")
    assert planned([ROW], tmp_path)["fine_tune"].operations == 2 * said
    BertConfig(num_hidden_layers=6, vocab_size=119_547).save_pretrained(
        tmp_path / "backbones/mbert"
    )
    halved = Shape(6, 768, 3072, 119_547).forward(64, 64) / MBERT.forward(64, 64)
    assert planned([ROW], tmp_path)["fine_tune"].operations == pytest.approx(2 * said * halved)


def test_what_cannot_be_counted_is_said(tmp_path: Path) -> None:
    costs = planned([ROW, ROW | {"training": "eng"}], tmp_path, backbones={"mbert": {}})
    assert costs["fine_tune"].operations == 0
    costs |= planned([ROW | {"training": "eng"}], tmp_path)
    downloads = {
        "xnli": {"hub": "facebook/xnli", "licence": "CC BY-NC 4.0", "size_mb": 450},
        "wikipedia": {"hub": "wikimedia/wikipedia"},
    }
    page = report(costs, downloads, rate=1e12, utilisation=0.5, origin="given")
    assert "2 jobs: training in eng alone" in page
    assert "450 MB  and 1 of a size not known here" in page
    assert "facebook/xnli (CC BY-NC 4.0)" in page
    del downloads["wikipedia"]
    page = report(costs, downloads, rate=1e12, utilisation=0.5, origin="given")
    assert page.endswith("450 MB\n")


def test_hours_are_operations_over_what_is_reached(tmp_path: Path) -> None:
    costs = planned([ROW], tmp_path)
    hours = costs["fine_tune"].operations / 3600
    page = report(costs, {}, rate=100.0, utilisation=0.5, origin="given")
    (line,) = [line for line in page.splitlines() if line.split()[:1] == ["fine_tune"]]
    assert line.split()[1:3] == ["2", f"{hours / 50:,.1f}"]


def test_a_machine_s_throughput_is_measured() -> None:
    rate, what = measured_throughput(seconds=0.1)
    assert rate > 1e9 and what
