"""Reranking and dense retrieval: their training data, their losses, and nDCG@10."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import Rule, character_tokenizer, weights_that_matter, write_model, write_task
from torch.nn import functional

from semantic_tokens.errors import InputError
from semantic_tokens.jobs.processes import in_processes
from semantic_tokens.modeling.loading import ModelFiles
from semantic_tokens.tasks.bi_encoder import BestPassages, contrastive_loss, embed
from semantic_tokens.tasks.retrieval_data import draws_of, ndcg_items
from semantic_tokens.tasks.run import fine_tune, make_task
from semantic_tokens.tasks.scored_items import scores_by_language
from semantic_tokens.training import TrainingOptions, train

VOCABULARY = character_tokenizer().get_vocab()
LENGTHS = {"max_query_length": 8, "max_passage_length": 12}


def query(name: str, text: str, relevant: list[str], language: str = "eng") -> dict[str, Any]:
    return {
        "id": name, "language": language, "query": text, "relevant": dict.fromkeys(relevant, 1)
    }  # fmt: skip


def passages(language: str, *texts: str) -> list[dict[str, Any]]:
    return [
        {"id": f"{language}{i}", "language": language, "title": "", "text": text}
        for i, text in enumerate(texts)
    ]


SPLITS = {
    "train": [
        query("t1", "a", ["eng0", "eng1"]),
        query("t2", "b", ["eng2"]),
        query("t3", "c", ["deu0"], "deu"),
    ],
    "test": [
        query("q1", "a", ["eng3"]),
        query("q2", "a a", ["eng5"]),
        query("q3", "b", ["eng0"]),
        query("q4", "a", ["deu1"], "deu"),
    ],
    "passages": [
        *passages("eng", "b", "a", "a a", "a a a", "a a a a", "b b"),
        *passages("deu", "a c", "b c", "a a a a a a"),
    ],
}
CANDIDATES = {
    "t1": ["eng1", "eng3", "eng0", "eng4", "eng5", "eng2"],
    "t2": ["eng1", "eng2", "eng3"],
    "t3": ["deu0"],
    "q1": ["eng0", "eng1", "eng2", "eng3", "eng4"],  # with the rule below: 4, 3, 2, 1, 0
    "q2": ["eng1", "eng2", "eng3"],
    "q3": [],
    "q4": ["deu0", "deu1"],
}


@pytest.fixture
def task_of(tmp_path: Path) -> Callable[..., Any]:
    """``task_of(kind, languages=…, **options)``."""

    def make(kind: str, languages: list[str] | None = None, **options: Any) -> Any:
        arguments = write_task(tmp_path / "ranking", kind, SPLITS, LENGTHS, CANDIDATES)
        return make_task(**arguments | {"languages": languages, "options": options})

    return make


def count_letter(input_ids: torch.Tensor, letter: str) -> torch.Tensor:
    """The number of times that a letter is a word in each row."""
    return (input_ids == VOCABULARY[letter]).sum(dim=1).float()


# The score


def test_scores_are_means_of_ndcg_by_language() -> None:
    queries = [
        {"id": "1", "language": "swa", "relevant": {"a": 1, "b": 1}},
        {"id": "2", "language": "swa", "relevant": {"a": 1}},
        {"id": "3", "language": "amh", "relevant": {"a": 1}},
    ]
    run = {"1": {"a": 3.0, "x": 2.0, "b": 1.0}, "2": {"x": 2.0, "a": 1.0}, "3": {"a": 1.0}}
    first = (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    assert scores_by_language(ndcg_items(queries, run)) == {
        "amh": (1.0, 1),
        "swa": (pytest.approx((first + 1 / math.log2(3)) / 2), 2),
    }


# Training data from BM25


@pytest.mark.parametrize("kind", ["reranking", "retrieval"])
def test_negatives_are_never_relevant(task_of: Callable[..., Any], kind: str) -> None:
    data = task_of(kind).data
    for training_query in data.train:
        for count in range(5):
            negatives = data.hard_negatives(
                training_query, count, 100, draws_of(training_query, 1, 0)
            )
            assert not set(negatives) & set(training_query["relevant"])
            assert len(set(negatives)) == len(negatives)
            assert {p[:3] for p in negatives} <= {training_query["language"]}


def test_negatives_have_the_configured_number_and_come_from_the_top(
    task_of: Callable[..., Any],
) -> None:
    data = task_of("reranking").data
    first = data.train[0]
    assert data.hard_negatives(first, 0, 100, draws_of(first, 1, 0)) == []
    assert data.hard_negatives(first, 1, 3, draws_of(first, 1, 0)) == ["eng3"]
    assert sorted(data.hard_negatives(first, 4, 100, draws_of(first, 1, 0))) == [
        "eng2",
        "eng3",
        "eng4",
        "eng5",
    ]


def test_missing_candidates_are_filled_from_passages_of_the_language(
    task_of: Callable[..., Any],
) -> None:
    data = task_of("reranking").data
    german = data.train[2]
    assert sorted(data.hard_negatives(german, 4, 100, draws_of(german, 1, 0))) == ["deu1", "deu2"]


def test_draws_of_a_query_do_not_depend_on_other_queries(task_of: Callable[..., Any]) -> None:
    all_languages, german_only, repeated = (
        task_of("retrieval", negatives_per_query=2, languages=languages)
        for languages in (None, ["deu"], None)
    )
    (german,) = german_only.queries
    for epoch in range(5):
        assert german_only.draw(german, epoch) == all_languages.draw(
            all_languages.queries[2], epoch
        )
        for query in all_languages.queries:
            assert all_languages.draw(query, epoch) == repeated.draw(query, epoch)


def test_each_epoch_and_seed_draws_different_negatives(task_of: Callable[..., Any]) -> None:
    task = task_of("retrieval", negatives_per_query=1)
    first = task.queries[0]
    assert len(first["relevant"]) == 2
    draws = [task.draw(first, epoch) for epoch in range(30)]
    assert {positive for positive, _ in draws} == set(first["relevant"])
    assert len({negatives[0] for _, negatives in draws}) == 4
    task.seed = 2
    assert [task.draw(first, epoch) for epoch in range(30)] != draws


def test_an_epoch_is_a_pass_over_queries(task_of: Callable[..., Any]) -> None:
    task = task_of("retrieval")
    assert len(task.lengths) == 3  # one of them has two relevant passages


def test_judged_negatives_are_drawn_if_configured(task_of: Callable[..., Any]) -> None:
    for judged, expected in ((False, {"eng3"}), (True, {"eng3", "eng5"})):
        data = task_of("retrieval", judged_negatives=judged).data
        first = data.train[0] | {"irrelevant": ["eng5"]}
        drawn = {
            passage
            for epoch in range(30)
            for passage in data.hard_negatives(first, 1, 3, draws_of(first, 1, epoch))
        }
        assert drawn == expected


def test_a_language_without_a_training_query_is_refused(task_of: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match=r"no training query of .* is in \['yor'\]"):
        task_of("retrieval", languages=["yor"])


# Reranking


def letter_counting_reranker(letter: str) -> Rule:
    """A cross-encoder that counts the letter. Both of its logits are shifted, which must not matter."""

    def rule(input_ids: torch.Tensor, **_: torch.Tensor) -> torch.Tensor:
        count = count_letter(input_ids, letter)
        return torch.stack([-2 * count, -count], dim=1)

    return Rule(rule)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_reranking_orders_the_candidates(task_of: Callable[..., Any], batch_size: int) -> None:
    scores = scores_by_language(
        task_of("reranking").evaluate(letter_counting_reranker("a"), batch_size)
    )
    # q1: "a a a" comes second after "a a a a"; q2's passage is not a candidate; q3 has none.
    assert scores["eng"] == (pytest.approx((1 / math.log2(3) + 0 + 0) / 3), 3)
    assert scores["deu"] == (pytest.approx(1 / math.log2(3)), 1)


def test_passages_below_the_depth_are_not_ranked(task_of: Callable[..., Any]) -> None:
    scores = scores_by_language(
        task_of("reranking", rerank_depth=3).evaluate(letter_counting_reranker("a"), 8)
    )
    assert scores["eng"] == (0.0, 3)
    assert scores["deu"][0] > 0


def test_reranking_learns_positives_and_hard_negatives(task_of: Callable[..., Any]) -> None:
    task = task_of("reranking", negatives_per_query=2)
    learned = [pair for example in task.examples for pair in task.passages(*example, epoch=0)]
    assert [pair for pair in learned if pair[1]] == [
        ("eng0", 1), ("eng1", 1), ("eng2", 1), ("deu0", 1)
    ]  # fmt: skip
    assert len(learned) == len(task.examples) == 4 + 3 * 2
    epochs = [
        {task.passages(*example, epoch=epoch)[0] for example in task.examples[2:4]}
        for epoch in range(20)
    ]
    assert all(len(drawn) == 2 and not any(label for _, label in drawn) for drawn in epochs)
    assert len({frozenset(drawn) for drawn in epochs}) > 1  # drawn again
    batch = task.collate(np.array([0, 2]))
    frame = task.data.frame
    expected, types = frame.pair([VOCABULARY["a"]], [VOCABULARY["b"]])
    assert batch["input_ids"][0, : len(expected)].tolist() == expected
    assert batch["token_type_ids"][0, : len(types)].tolist() == types
    assert batch["labels"].tolist() == [1, 0]
    assert task.terms(batch) == 2


def test_listwise_example_is_a_relevant_passage_with_its_negatives(
    task_of: Callable[..., Any],
) -> None:
    task = task_of("reranking", negatives_per_query=2, loss="listwise")
    lists = [task.passages(*example, epoch=0) for example in task.examples]
    assert [passages[0] for passages in lists] == [
        ("eng0", 1), ("eng1", 1), ("eng2", 1), ("deu0", 1)
    ]  # fmt: skip
    assert all(label == 0 for passages in lists for _, label in passages[1:])
    assert task.terms(task.collate(np.array([3, 0]))) == 2


def test_listwise_loss_is_the_cross_entropy_of_each_list(task_of: Callable[..., Any]) -> None:
    task = task_of("reranking", negatives_per_query=2, loss="listwise")
    batch = task.collate(np.array([0, 3]))
    logits = torch.randn(len(batch["labels"]), 2, generator=torch.Generator().manual_seed(1))
    scores = (logits[:, 1] - logits[:, 0]).tolist()
    expected, start = 0.0, 0
    for example in (task.examples[0], task.examples[3]):
        passages = task.passages(*example, epoch=0)
        part = scores[start : start + len(passages)]
        expected += math.log(sum(math.exp(score) for score in part)) - part[0]
        start += len(passages)
    loss = task.loss(Rule(lambda **inputs: logits), batch)
    assert float(loss) == pytest.approx(expected / 2, abs=1e-5)


def test_an_unknown_loss_is_refused(task_of: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="'pairs'; use pointwise or listwise"):
        task_of("reranking", loss="pairs")


def test_pairs_are_truncated_to_the_max_length(task_of: Callable[..., Any]) -> None:
    task = task_of("reranking", max_length=8)
    batch = task.collate(np.arange(len(task.examples)))
    assert batch["input_ids"].shape[1] <= 8
    assert (batch["input_ids"][batch["attention_mask"] == 1] != task.data.frame.pad).all()


def test_max_length_beyond_the_limit_of_the_model_is_refused(
    task_of: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_model(tmp_path / "model", torch.arange(len(VOCABULARY)))  # of 64 positions
    task_of("reranking").load_model(files, seed=1)  # whose pairs are short
    for name, length in {"max_query_length": 40, "max_passage_length": 40}.items():
        monkeypatch.setitem(LENGTHS, name, length)
    long = query("t2", "b " * 50, ["eng2"])
    monkeypatch.setitem(SPLITS, "train", [*SPLITS["train"][:1], long])
    monkeypatch.setitem(SPLITS, "passages", [*SPLITS["passages"], *passages("fra", "c " * 50)])
    task_of("reranking", max_length=64).load_model(files, seed=1)
    message = r"`max_length` of a reranking task's `options` is 65, and .* at most 64 tokens"
    with pytest.raises(InputError, match=message):
        task_of("reranking", max_length=65).load_model(files, seed=1)


# Retrieval


def letter_counts(input_ids: torch.Tensor, **_: torch.Tensor) -> torch.Tensor:
    """An encoder whose state at each token is the counts of a and b in the text: [B, L, 2]."""
    counts = torch.stack([count_letter(input_ids, "a"), count_letter(input_ids, "b")], dim=1)
    return counts[:, None].expand(-1, input_ids.shape[1], -1)


def encoder(rule: Callable[..., torch.Tensor] = letter_counts) -> Rule:
    return Rule(rule, "last_hidden_state")


@pytest.mark.parametrize("batch_size", [1, 64])
def test_retrieval_searches_passages_of_the_query_language(
    task_of: Callable[..., Any], batch_size: int
) -> None:
    scores = scores_by_language(task_of("retrieval").evaluate(encoder(), batch_size))
    # The passage of q1 is second, after eng4 (4) and eng3 (3). That of q2 is fifth: eng5 and eng0 have
    # no a, and the larger id comes first. That of q3 is second, after eng5 (2) and eng0 (1). That of
    # q4 is third, after deu2 and deu0.
    positions = {"eng": [2, 5, 2], "deu": [3]}
    for language, query_positions in positions.items():
        expected = np.mean([1 / math.log2(position + 1) for position in query_positions])
        assert scores[language] == (pytest.approx(expected), len(query_positions))


@pytest.mark.parametrize(("similarity", "position"), [("dot", 2), ("cosine", 3)])
def test_cosine_does_not_prefer_long_passages(
    task_of: Callable[..., Any], monkeypatch, similarity: str, position: int
) -> None:
    """By cosine, the query "a" is nearest to "a", then to "a a", and then to its passage "a a a". By
    dot product, the longest passage "a a a a" is first."""
    monkeypatch.setitem(SPLITS, "test", SPLITS["test"][:1])
    model = encoder(lambda **inputs: letter_counts(**inputs) + torch.tensor([0.0, 0.1]))
    scores = scores_by_language(task_of("retrieval", similarity=similarity).evaluate(model, 4))
    assert scores == {"eng": (pytest.approx(1 / math.log2(position + 1)), 1)}


def test_passages_of_other_languages_are_not_searched(
    task_of: Callable[..., Any], monkeypatch
) -> None:
    expected = scores_by_language(task_of("retrieval").evaluate(encoder(), 4))
    more = passages("fra", *["a a a a a a a"] * 12)
    monkeypatch.setitem(SPLITS, "passages", [*more, *SPLITS["passages"]])
    assert scores_by_language(task_of("retrieval").evaluate(encoder(), 4)) == expected


@pytest.mark.parametrize(("retrieved", "score"), [(2, 1 / math.log2(3)), (1, 0.0)])
def test_ranking_is_cut_after_the_best_passages(
    task_of: Callable[..., Any], monkeypatch, retrieved: int, score: float
) -> None:
    monkeypatch.setitem(SPLITS, "test", SPLITS["test"][:1])
    monkeypatch.setattr("semantic_tokens.tasks.retrieval.RETRIEVED", retrieved)
    scores = scores_by_language(task_of("retrieval").evaluate(encoder(), 4))
    assert scores == {"eng": (pytest.approx(score), 1)}


@pytest.mark.parametrize("size", [1, 2, 5])
def test_searching_in_parts_covers_the_entire_collection(
    task_of: Callable[..., Any], size: int
) -> None:
    task = task_of("retrieval")
    expected = scores_by_language(task.evaluate(encoder(), 4))
    task.part_size = size
    assert scores_by_language(task.evaluate(encoder(), 4)) == expected


def test_search_in_parts_finds_the_best_passages_of_one_search() -> None:
    generator = np.random.default_rng(0)
    queries = generator.normal(size=(7, 5)).astype(np.float32)
    passages = generator.normal(size=(60, 5)).astype(np.float32)
    names = [f"p{i}" for i in range(60)]
    best = BestPassages(queries, ["eng"] * 6 + ["deu"], depth=4)
    for start in range(0, 60, 9):
        best.add("eng", names[start : start + 9], passages[start : start + 9])
    nearest = np.argsort(-(queries @ passages.T), axis=1)[:, :4]
    runs = best.runs()
    assert [list(run) for run in runs[:6]] == [[names[i] for i in row] for row in nearest[:6]]
    assert runs[6] == {} and not best.has_queries_in("fra")


def test_contrastive_loss_is_computed_in_float32_under_half_precision() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, candidates = (torch.randn(n, 32, generator=generator) for n in (4, 9))
    target, forbidden = torch.arange(4), torch.zeros(4, 9, dtype=torch.bool)
    expected = functional.cross_entropy(queries @ candidates.T / 0.05, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = contrastive_loss(queries, candidates, target, forbidden, 0.05)
        in_half = functional.cross_entropy((queries @ candidates.T).float() / 0.05, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    assert abs(in_half - expected) > 1e-4  # what autocast alone would give


def test_search_is_exact_under_half_precision() -> None:
    """In half precision, the difference of two passages may be too small."""
    best = BestPassages(np.array([[1.0, 1.0]], dtype=np.float32), ["eng"], 1)
    vectors = np.array([[1, 0.5], [1, 0.5001]], dtype=np.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        best.add("eng", ["near", "nearer"], vectors)
    assert best.runs() == [{"nearer": pytest.approx(1.5001)}]


def test_an_interrupted_search_continues_with_the_next_part(
    task_of: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of("retrieval")
    expected = scores_by_language(task.evaluate(encoder(), 4))
    task.part_size, task.progress, task.seconds_between_saves = 2, tmp_path, 0.0
    encode, encoded = task._encode, []

    def interrupt(model: Any, texts: Any, batch_size: int, description: str) -> np.ndarray:
        encoded.append((description, len(texts)))
        if len(encoded) == 4:
            raise KeyboardInterrupt
        return encode(model, texts, batch_size, description)

    monkeypatch.setattr(task, "_encode", interrupt)
    with pytest.raises(KeyboardInterrupt):
        task.evaluate(encoder(), 4)
    assert scores_by_language(task.evaluate(encoder(), 4)) == expected
    parts = [count for description, count in encoded if description == "encoding"]
    # Two parts were finished and a third started. The second run continued with the third.
    assert sum(parts) == len(SPLITS["passages"]) + parts[2]


def test_a_search_is_not_saved_after_every_part(
    task_of: Callable[..., Any], tmp_path: Path
) -> None:
    task = task_of("retrieval")
    task.part_size, task.progress = 2, tmp_path
    task.evaluate(encoder(), 4)
    assert not (tmp_path / "search.json").exists()


def test_gradients_computed_in_parts_equal_those_of_the_batch(
    task_of: Callable[..., Any], tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "model", torch.arange(len(VOCABULARY)))
    task = task_of("retrieval", negatives_per_query=1)
    gradients, losses = [], []
    for size in (None, 2, 1):
        model = task.load_model(folder, seed=0, dropout=0.0)
        task.device_batch_size = size
        loss = task.loss(model, task.collate(np.array([0, 1, 2])))
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    for part in gradients[1:]:
        for found, expected in zip(part, gradients[0], strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_recomputed_parts_use_the_same_dropout(task_of: Callable[..., Any], tmp_path: Path) -> None:
    """When a part is computed again for its gradient, it equals the part in the loss."""
    folder = write_model(tmp_path / "model", torch.arange(len(VOCABULARY)))
    task = task_of("retrieval", negatives_per_query=1)
    task.device_batch_size = 1
    model = task.load_model(folder, seed=0, dropout=0.5).train()
    dropout_outputs: list[torch.Tensor] = []
    model.embeddings.dropout.register_forward_hook(
        lambda *arguments: dropout_outputs.append(arguments[-1].detach())
    )
    batch = task.collate(np.array([0, 1]))
    torch.manual_seed(3)
    task.loss(model, batch).backward()
    texts = len(batch["query_input_ids"]) + len(batch["passage_input_ids"])
    assert len(dropout_outputs) == 2 * texts
    for first in dropout_outputs[:texts]:
        assert sum(torch.equal(first, recomputed) for recomputed in dropout_outputs[texts:]) == 1


def train_retrieval(
    arguments: dict[str, Any], folder: ModelFiles, device_batch_size: int | None
) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The work of each process: steps over three or fewer examples, so that the parts are not
    equal. Returns the losses and the weights."""
    task = make_task(**arguments)
    task.device_batch_size = device_batch_size
    # In double precision, because Adam makes full steps from the rounding of a tiny gradient.
    model = task.load_model(folder, seed=0, dropout=0.0).double()
    losses = train(
        model,
        lambda: iter([[task.collate(np.arange(n))] for n in (3, 2, 3, 1)]),
        task.loss,
        steps=4,
        options=TrainingOptions(learning_rate=1e-3, batch_size=4),
        seed=1,
        terms=task.terms,
        loss_is_shared=task.couples_examples,
    )
    return losses, weights_that_matter(model)


@pytest.mark.parametrize("size", [None, 1])
def test_two_processes_share_a_batch_of_negatives(tmp_path: Path, size: int | None) -> None:
    """Every passage is a negative of every query, independent of the process that encodes it."""
    folder = write_model(tmp_path / "model", torch.arange(len(VOCABULARY)))
    arguments = write_task(tmp_path / "ranking", "retrieval", SPLITS, LENGTHS, CANDIDATES)
    arguments |= {"options": {"negatives_per_query": 1}}
    expected, single = in_processes(1, train_retrieval, arguments, folder, size)
    losses, shared = in_processes(2, train_retrieval, arguments, folder, size)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    before = weights_that_matter(make_task(**arguments).load_model(folder, seed=0, dropout=0.0))
    assert max(float((single[name] - before[name]).abs().max()) for name in single) > 1e-3
    for name in single:
        torch.testing.assert_close(shared[name], single[name], rtol=1e-4, atol=1e-5)


def names_of(task: Any, indices: list[int]) -> list[str]:
    """The passages of a batch, decoded from their tokens."""
    batch = task.collate(np.array(indices))
    texts = {tuple(task.data.frame.single(ids)): name for name, ids in task.data.passages.items()}
    rows = zip(batch["passage_input_ids"], batch["passage_attention_mask"], strict=True)
    return [texts[tuple(ids[mask == 1].tolist())] for ids, mask in rows]


def test_other_positives_of_a_query_are_not_its_negatives(task_of: Callable[..., Any]) -> None:
    task = task_of("retrieval", negatives_per_query=0, languages=["eng"])
    first, second = task.queries
    epochs_with_the_other_positive = [
        epoch for epoch in range(40)
        if task.draw(first, epoch)[0] != "eng0"
    ]  # fmt: skip
    batch = task.collate(np.array([0, 0, 1]), epochs_with_the_other_positive[0])
    assert batch["target"].tolist() == [0, 0, 1]
    assert not batch["forbidden"].any()  # one passage per query
    # A batch in which the first query's other positive belongs to another query.
    task.queries = [first, first | {"id": "t9", "relevant": {"eng0": 1}}, second]
    batch = task.collate(np.array([0, 1, 2]), epochs_with_the_other_positive[0])
    assert batch["target"].tolist() == [0, 1, 2]
    assert batch["forbidden"].tolist() == [
        [False, True, False],  # eng0 is relevant to t1, too
        [False, False, False],
        [False, False, False],
    ]


def test_a_batch_holds_each_passage_once(task_of: Callable[..., Any]) -> None:
    task = task_of("retrieval", negatives_per_query=3)
    names = names_of(task, [0, 1, 2])
    positives, negatives = names[:3], set(names[3:])
    draws = [task.draw(query, epoch=0) for query in task.queries]
    assert positives == [positive for positive, _ in draws]
    assert len(set(names)) == len(names)
    hard_negatives = {negative for _, hard in draws for negative in hard}
    assert negatives == hard_negatives - set(positives)


@pytest.mark.parametrize(
    ("similarity", "temperature"), [("dot", 1.0), ("cosine", 1.0), ("cosine", 0.05)]
)
def test_retrieval_loss_excludes_other_relevant_passages(
    task_of: Callable[..., Any], similarity: str, temperature: float
) -> None:
    task = task_of(
        "retrieval", negatives_per_query=1, similarity=similarity, temperature=temperature
    )
    states = torch.randn(len(VOCABULARY), 6, generator=torch.Generator().manual_seed(0))

    def embed(input_ids: list[int]) -> torch.Tensor:
        vector = states[input_ids].sum(dim=0)
        return functional.normalize(vector, dim=0) if similarity == "cosine" else vector

    def summed_states(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        summed = (states[input_ids] * attention_mask[:, :, None]).sum(dim=1)
        return summed[:, None].expand(-1, input_ids.shape[1], -1)

    indices = [0, 1, 2]
    frame, texts = task.data.frame, task.data.passages
    names = names_of(task, indices)
    expected = []
    for training_query in task.queries:
        positive, _ = task.draw(training_query, epoch=0)
        allowed = [n for n in names if n == positive or n not in training_query["relevant"]]
        scores = torch.stack(
            [
                embed(frame.single(training_query["input_ids"])) @ embed(frame.single(texts[n]))
                for n in allowed
            ]
        )
        expected.append(
            functional.cross_entropy(scores / temperature, torch.tensor(allowed.index(positive)))
        )
    batch = task.collate(np.array(indices))
    assert task.terms(batch) == 3
    torch.testing.assert_close(
        task.loss(encoder(summed_states), batch), torch.stack(expected).mean(), rtol=1e-4, atol=1e-4
    )


def test_pooling_by_mean_leaves_padding_out(task_of: Callable[..., Any], tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", torch.arange(len(VOCABULARY)))
    task = task_of("retrieval", pooling="mean")
    model = task.load_model(folder, seed=0, dropout=0.0).eval()
    ids, mask = torch.tensor([[2, 7, 3, 0, 0]]), torch.tensor([[1, 1, 1, 0, 0]])
    options = {"pooling": task.pooling, "similarity": task.similarity}
    padded = embed(model, ids, mask, **options)
    torch.testing.assert_close(padded, embed(model, ids[:, :3], mask[:, :3], **options))
    torch.testing.assert_close(padded[0], model(ids, mask).last_hidden_state[0, :3].mean(dim=0))


# From data to score


@pytest.mark.parametrize(
    ("kind", "options"),
    [("reranking", {"negatives_per_query": 4}), ("retrieval", {"negatives_per_query": 1})],
)
def test_training_learns_its_queries(
    task_of: Callable[..., Any], tmp_path: Path, monkeypatch, kind: str, options: dict
) -> None:
    monkeypatch.setitem(SPLITS, "test", SPLITS["train"])
    folder = write_model(tmp_path / "model", torch.arange(len(VOCABULARY)))
    result, _ = fine_tune(
        task_of(kind, **options),
        folder,
        token_ids=np.arange(len(VOCABULARY)),
        options=TrainingOptions(learning_rate=0.01, batch_size=4, epochs=120, dropout=0.0),
        seed=1,
    )
    assert result["metric"] == "ndcg_at_10"
    assert result["count_by_language"] == {"deu": 1, "eng": 2}
    assert result["value"] > 0.95
