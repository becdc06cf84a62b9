"""Fine-tuning: common parts of tasks, the two classifications, and all steps from data to score."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import load_dataset
from seqeval.metrics import f1_score
from tiny import PAD, Rule, character_tokenizer, write_model, write_task
from torch.nn import functional
from transformers import AutoConfig, AutoTokenizer

from semantic_tokens.errors import InputError
from semantic_tokens.modeling.loading import ModelFiles
from semantic_tokens.tasks.metrics import entity_counts
from semantic_tokens.tasks.predictions import write_predictions
from semantic_tokens.tasks.run import fine_tune, fine_tune_from_files, make_task
from semantic_tokens.tasks.scored_items import (
    ScoredItem,
    read_items,
    scores_by_language,
    write_items,
)
from semantic_tokens.tasks.task import (
    batches_of_like_length,
    model_inputs,
    of_languages,
    predict,
)
from semantic_tokens.training import TrainingOptions

VOCABULARY = character_tokenizer().get_vocab()


# Common parts of tasks


def test_inputs_are_padded_on_the_right() -> None:
    batch = model_inputs([[5, 6, 7], [8]], PAD + 9, [[0, 0, 1], [0]])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 1], [0, 0, 0]]
    assert "token_type_ids" not in model_inputs([[5]], PAD)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_every_example_is_predicted_once_under_its_index(batch_size: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 20, size=23).tolist()
    sizes: list[int] = []

    def collate(indices: np.ndarray) -> dict[str, torch.Tensor]:
        sizes.append(len(indices))
        return model_inputs([[i + 1] * lengths[i] for i in indices], 0)

    model = Rule(lambda **batch: batch["input_ids"][:, :1] * 10)
    predicted = dict(
        predict(model, lengths, collate, lambda m, b: m(**b).logits, batch_size, "predicting")
    )
    assert {index: int(row[0]) for index, row in predicted.items()} == {
        i: 10 * (i + 1) for i in range(23)
    }
    assert max(sizes) == min(batch_size, 23) and sum(sizes) == 23


@pytest.mark.parametrize("tokens", [1, 12, 30, None])
def test_batches_have_similar_lengths_and_respect_the_token_limit(tokens) -> None:
    lengths = np.random.default_rng(0).integers(1, 20, size=50).tolist()
    batches = list(batches_of_like_length(lengths, 7, tokens))
    order = np.concatenate(batches)
    assert sorted(order) == list(range(50))
    assert [lengths[i] for i in order] == sorted(lengths)
    for batch in batches:
        assert 1 <= len(batch) <= 7
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or tokens is None or len(batch) * longest <= tokens
    for batch, after in itertools.pairwise(batches):  # no batch has room for another example
        assert len(batch) == 7 or (len(batch) + 1) * lengths[after[0]] > tokens


def test_prediction_disables_dropout_and_restores_training_mode() -> None:
    modes = []
    model = Rule(lambda **batch: batch["input_ids"].float())
    for _ in predict(
        model,
        [1],
        lambda _: model_inputs([[5]], 0),
        lambda m, b: (modes.append((m.training, torch.is_inference_mode_enabled())), m(**b).logits)[
            1
        ],
        4,
        "predicting",
    ):
        pass
    assert modes == [(False, True)]
    assert model.training


def test_training_rows_are_selected_by_language() -> None:
    rows = [{"language": code, "id": i} for i, code in enumerate(["swa", "eng", "swa", "amh"])]
    assert [row["id"] for row in of_languages(rows, ["swa", "amh"])] == [0, 2, 3]
    assert of_languages(rows, None) == rows
    with pytest.raises(InputError, match=r"no training example is in yor; correct"):
        of_languages(rows, ["yor"])


# Items


def test_items_round_trip(tmp_path: Path) -> None:
    items = [ScoredItem("ü", "deu", 2.0, 5.0), ScoredItem("b", "eng", 0.1 + 0.2, 1.0)]
    for expected in (items, []):
        write_items(expected, tmp_path / "items.parquet")
        assert read_items(tmp_path / "items.parquet") == expected


def test_damaged_items_file_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "items.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(InputError, match=r"items\.parquet: no table of scored items"):
        read_items(tmp_path / "items.parquet")


def test_language_without_possible_points_scores_zero() -> None:
    items = [ScoredItem("1", "deu", 0.0, 0.0), ScoredItem("2", "ara", 2.0, 5.0)]
    assert scores_by_language(items) == {"ara": (0.4, 1), "deu": (0.0, 1)}


def test_predictions_have_one_line_per_item_and_are_reproducible(tmp_path: Path) -> None:
    items = [ScoredItem("ü", "deu", 1.0, 1.0), ScoredItem("b", "eng", 0.0, 1.0)]
    predictions = {"b": {"label": "番茄"}, "ü": {"label": "rot"}}
    for name in ("one", "other"):
        write_predictions(items, predictions, tmp_path / f"{name}.jsonl.gz")
    assert len({(tmp_path / f"{name}.jsonl.gz").read_bytes() for name in ("one", "other")}) == 1
    rows = load_dataset(
        "json",
        data_files=str(tmp_path / "one.jsonl.gz"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert rows.to_list() == [
        {"id": "ü", "language": "deu", "earned": 1.0, "possible": 1.0, "label": "rot"},
        {"id": "b", "language": "eng", "earned": 0.0, "possible": 1.0, "label": "番茄"},
    ]


# Token classification


@pytest.mark.parametrize(
    ("gold", "predicted", "f1"),
    [
        # The example of seqeval's README: the first entity's border is wrong.
        (
            ["O O O B-MISC I-MISC I-MISC O", "B-PER I-PER O"],
            ["O O B-MISC I-MISC I-MISC I-MISC O", "B-PER I-PER O"],
            0.5,
        ),
        (["B-PER I-PER O B-LOC"], ["B-PER I-PER O B-ORG"], 0.5),
        (["B-PER B-PER O"], ["B-PER I-PER O"], 0.0),  # one name for two
        (["B-PER O B-LOC", "B-ORG"], ["B-PER O O", "B-ORG"], 0.8),  # micro: 2 of 2, 2 of 3
        (["O O"], ["O O"], 0.0),
    ],
)
def test_entity_f1_of_worked_examples(gold: list[str], predicted: list[str], f1: float) -> None:
    split = [[sentence.split() for sentence in tags] for tags in (gold, predicted)]
    right, entities = zip(*map(entity_counts, *split), strict=True)
    assert (sum(right) / sum(entities) if sum(entities) else 0.0) == pytest.approx(f1)
    assert f1_score(*split, zero_division=0) == pytest.approx(f1)


def sentence(number: int, language: str, text: str, tags: str) -> dict[str, Any]:
    return {"id": str(number), "language": language, "tokens": text.split(), "tags": tags.split()}


NAMES = {
    "train": [
        sentence(0, "eng", "per ana ate", "O B-PER O"),
        sentence(1, "eng", "in london", "O B-LOC"),
        sentence(2, "swa", "per lisi ngo alila", "B-PER I-PER O O"),
    ],
    "test": [
        sentence(3, "eng", "per ana and london", "B-PER I-PER O B-LOC"),
        sentence(4, "swa", "lisi na per na london na per", "B-LOC O B-PER O B-LOC O B-PER"),
        sentence(5, "swa", "per", "B-DATE"),
    ],
}


def tag_by_initial(input_ids: torch.Tensor, **_: torch.Tensor) -> torch.Tensor:
    """A tagger by the first letter: p starts a person, a continues one, l starts a place. Other
    subwords of a word, and padding, are tagged as a place."""
    tags = ["B-LOC", "B-PER", "I-PER", "O"]
    tag_of = torch.full((len(VOCABULARY),), tags.index("O"))
    for piece, token in VOCABULARY.items():
        if piece.startswith("##") or token == PAD:
            tag_of[token] = tags.index("B-LOC")
    for initial, tag in {"p": "B-PER", "a": "I-PER", "l": "B-LOC"}.items():
        tag_of[VOCABULARY[initial]] = tags.index(tag)
    return functional.one_hot(tag_of[input_ids], len(tags)).float()


@pytest.fixture
def names(tmp_path: Path) -> dict[str, Any]:
    return write_task(tmp_path / "ner", "token_classification", NAMES, {"max_length": 21})


def test_tags_are_learned_at_the_first_subword_of_each_word(names: dict) -> None:
    task = make_task(**names)
    batch = task.collate(np.array([1, 2]))
    tags = {i: tag for i, tag in enumerate(["B-LOC", "B-PER", "I-PER", "O"])}
    labels = [
        {position: tags[label] for position, label in enumerate(row) if label != -100}
        for row in batch["labels"].tolist()
    ]
    #        [CLS] i ##n l ##o …            [CLS] p ##e ##r l ##i ##s ##i n ##g ##o a …
    assert labels == [{1: "O", 3: "B-LOC"}, {1: "B-PER", 4: "I-PER", 8: "O", 11: "O"}]
    assert task.terms(batch) == 6


def test_labels_that_only_the_test_data_have_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split = NAMES["test"]
    misspelt = [
        row | {"tags": [tag.replace("PER", "PERS") for tag in row["tags"]]} for row in split
    ]
    make_task(**write_task(tmp_path, "token_classification", NAMES, {"max_length": 21}))
    assert "tags that the training data do not have: B-DATE. A model" in caplog.text
    caplog.clear()
    content = NAMES | {"test": misspelt}
    make_task(**write_task(tmp_path, "token_classification", content, {"max_length": 21}))
    assert "have tags that the training data do not have: B-DATE, B-PERS, I-PERS." in caplog.text
    content = PAIRS | {"test": [row | {"label": "maybe"} for row in PAIRS["test"]]}
    make_task(**write_task(tmp_path / "nli", "pair_classification", content, {"max_length": 24}))
    assert "have labels that the training data do not have: maybe." in caplog.text


def test_the_loss_is_the_mean_over_words(names: dict) -> None:
    task = make_task(**names)
    batch = task.collate(np.array([0, 2]))
    logits = torch.randn(*batch["input_ids"].shape, 4)
    words = batch["labels"] != -100
    expected = functional.cross_entropy(logits[words], batch["labels"][words])
    torch.testing.assert_close(task.loss(Rule(lambda **_: logits), batch), expected)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_entities_are_scored_by_language_over_all_words(names: dict, batch_size: int) -> None:
    scores = scores_by_language(make_task(**names).evaluate(Rule(tag_by_initial), batch_size))
    # English: "per ana and" is tagged as one name. Two of two entities are found, and one is
    # correct.
    # Swahili: of five entities, the last is truncated and one has a tag that training never saw. Four
    # are found, and three of them are correct.
    assert scores == {"eng": (pytest.approx(0.5), 1), "swa": (pytest.approx(2 * 3 / (4 + 5)), 2)}


def test_zero_shot_training_keeps_the_tags_of_all_languages(names: dict, tmp_path: Path) -> None:
    task = make_task(**names | {"languages": ["eng"]})
    assert len(task.lengths) == 2
    folder = write_model(tmp_path / "model", torch.arange(len(VOCABULARY)))
    assert task.load_model(folder, seed=0, dropout=None).classifier.out_features == 4


def test_development_split_can_be_evaluated(tmp_path: Path) -> None:
    splits = NAMES | {"dev": [sentence(6, "luo", "per", "B-PER")]}
    arguments = write_task(tmp_path, "token_classification", splits, {"max_length": 21})
    scores = scores_by_language(
        make_task(**arguments | {"evaluation_split": "dev"}).evaluate(Rule(tag_by_initial), 2)
    )
    assert scores == {"luo": (1.0, 1)}


def test_empty_split_to_score_is_refused(tmp_path: Path) -> None:
    splits = NAMES | {"dev": []}
    arguments = write_task(tmp_path / "ner", "token_classification", splits, {"max_length": 21})
    make_task(**arguments)
    with pytest.raises(InputError, match=r"dataset ner has no example in its split dev"):
        make_task(**arguments | {"evaluation_split": "dev"})


# Pair classification


def pair(number: int, language: str, first: str, second: str, label: str) -> dict[str, Any]:
    return {
        "id": str(number), "language": language, "first": first, "second": second, "label": label
    }  # fmt: skip


PAIRS = {
    "train": [
        pair(0, "eng", "a red tomato", "it is red", "entailment"),
        pair(1, "deu", "rot", "es ist blau", "contradiction"),
        pair(2, "eng", "red", "he ate", "neutral"),
    ],
    "test": [
        pair(3, "eng", "red", "xx", "entailment"),
        pair(4, "eng", "red " * 9, "y", "contradiction"),
        pair(5, "eng", "x red", "z", "neutral"),
        pair(6, "deu", "rot", "y", "contradiction"),
        pair(7, "deu", "rot", "x", "unheard of"),
    ],
}


def label_by_second_text(
    input_ids: torch.Tensor, token_type_ids: torch.Tensor, **_: torch.Tensor
) -> torch.Tensor:
    """A classifier by the second text's first letter: y contradicts, all others are entailed."""
    contradicts = ((input_ids == VOCABULARY["y"]) & (token_type_ids == 1)).any(dim=1)
    return functional.one_hot(1 - contradicts.long(), 3).float()


@pytest.fixture
def pairs(tmp_path: Path) -> dict[str, Any]:
    return write_task(tmp_path / "nli", "pair_classification", PAIRS, {"max_length": 24})


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_accuracy_is_computed_by_language(pairs: dict, batch_size: int) -> None:
    scores = scores_by_language(make_task(**pairs).evaluate(Rule(label_by_second_text), batch_size))
    assert scores == {"deu": (pytest.approx(1 / 2), 2), "eng": (pytest.approx(2 / 3), 3)}


def test_labels_have_the_same_numbers_in_every_language(pairs: dict, tmp_path: Path) -> None:
    all_languages, german_only = make_task(**pairs), make_task(**pairs | {"languages": ["deu"]})
    assert all_languages.collate(np.array([0, 1, 2]))["labels"].tolist() == [1, 0, 2]
    assert german_only.collate(np.array([0]))["labels"].tolist() == [0]
    folder = write_model(tmp_path / "model", torch.arange(len(VOCABULARY)))
    assert german_only.load_model(folder, seed=0, dropout=None).classifier.out_features == 3


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_padding_does_not_change_the_loss(pairs: dict, tmp_path: Path, pooling: str) -> None:
    task = make_task(**pairs | {"options": {"pooling": pooling}})
    folder = write_model(tmp_path / "model", torch.arange(len(VOCABULARY)))
    model = task.load_model(folder, seed=0, dropout=0.0)
    batch_loss = task.loss(model, task.collate(np.array([0, 1, 2])))
    single_losses = [task.loss(model, task.collate(np.array([i]))) for i in range(3)]
    torch.testing.assert_close(batch_loss, torch.stack(single_losses).mean())


# From data to score


OPTIONS = TrainingOptions(learning_rate=0.01, batch_size=2, epochs=2, dropout=0.1)
EVERY_TOKEN = np.arange(len(VOCABULARY))


@pytest.fixture
def model_files(tmp_path: Path) -> ModelFiles:
    return write_model(tmp_path / "model", torch.arange(len(VOCABULARY)) // 2)


def test_a_score_is_the_unweighted_mean_over_languages(
    pairs: dict, model_files: ModelFiles
) -> None:
    task = make_task(**pairs)
    result, items = fine_tune(task, model_files, token_ids=EVERY_TOKEN, options=OPTIONS, seed=1)
    assert result["metric"] == "accuracy"
    assert result["count_by_language"] == {"deu": 2, "eng": 3}
    assert result["value"] == pytest.approx(sum(result["by_language"].values()) / 2)
    assert (result["steps"], result["train_examples"]) == (4, 3)
    assert result["final_loss"] > 0
    assert [(item.language, item.possible) for item in items] == [
        *[("eng", 1.0)] * 3,
        *[("deu", 1.0)] * 2,
    ]  # by id
    by_language = {code: score for code, (score, _) in scores_by_language(items).items()}
    assert result["by_language"] == by_language


def test_training_learns_its_examples(pairs: dict, model_files: ModelFiles, tmp_path: Path) -> None:
    same_examples = write_task(
        tmp_path / "same",
        "pair_classification",
        {"train": PAIRS["train"], "test": PAIRS["train"]},
        {"max_length": 24},
    )
    options = replace(OPTIONS, epochs=60, dropout=0.0)
    result, _ = fine_tune(
        make_task(**same_examples), model_files, token_ids=EVERY_TOKEN, options=options, seed=1
    )
    assert result["value"] == 1.0
    assert result["final_loss"] < 0.1


def test_model_is_scored_without_training_if_there_are_no_steps(
    pairs: dict, model_files: ModelFiles
) -> None:
    result, _ = fine_tune(
        make_task(**pairs),
        model_files,
        token_ids=EVERY_TOKEN,
        options=replace(OPTIONS, max_steps=0),
        seed=1,
    )
    assert (result["steps"], result["final_loss"]) == (0, None)


def test_fine_tuning_depends_on_the_seed(pairs: dict, model_files: ModelFiles) -> None:
    first, repeated, other = (
        fine_tune(make_task(**pairs), model_files, token_ids=EVERY_TOKEN, options=OPTIONS, seed=s)
        for s in (1, 1, 2)
    )
    assert first == repeated
    assert first[0]["final_loss"] != other[0]["final_loss"]


def test_leaving_out_unused_embeddings_changes_nothing(
    names: dict, model_files: ModelFiles
) -> None:
    task = make_task(**names)
    used = {
        token for i in range(3) for token in task.collate(np.array([i]))["input_ids"][0].tolist()
    }
    used |= {token for row in task.test for token in row["input_ids"]}
    assert len(used) < len(EVERY_TOKEN) / 2
    options = replace(OPTIONS, dropout=0.0)
    (reduced, _), (full, _) = (
        fine_tune(task, model_files, token_ids=tokens, options=options, seed=1)
        for tokens in (np.array(sorted({*used, PAD})), EVERY_TOKEN)
    )
    assert reduced["final_loss"] == pytest.approx(full["final_loss"], rel=1e-5)
    assert reduced["by_language"] == full["by_language"]


def test_resumed_fine_tuning_equals_an_uninterrupted_one(
    pairs: dict, model_files: ModelFiles, tmp_path: Path, monkeypatch
) -> None:
    options = replace(OPTIONS, checkpoint_every=1, epochs=4)
    task = make_task(**pairs)
    arguments: dict[str, Any] = {"token_ids": EVERY_TOKEN, "options": options, "seed": 1}
    expected = fine_tune(task, model_files, **arguments)
    arguments["checkpoint"] = tmp_path / "checkpoint"
    losses = iter(range(5))
    loss = task.loss

    def interrupt(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if next(losses, None) is None:
            raise KeyboardInterrupt
        return loss(model, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(task, "loss", interrupt)
        fine_tune(task, model_files, **arguments)
    assert (tmp_path / "checkpoint/state.json").exists()
    assert fine_tune(task, model_files, **arguments) == expected


@pytest.mark.parametrize(
    ("change", "is_resumed"),
    [({}, True), ({"evaluation_split": "train"}, False), ({"data": "other"}, False)],
    ids=["nothing", "split", "data"],
)
def test_interrupted_fine_tuning_continues_only_on_the_same_task_and_data(
    pairs: dict, model_files: ModelFiles, tmp_path: Path, monkeypatch, caplog,
    change: dict[str, str], is_resumed: bool,
) -> None:  # fmt: skip
    data = tmp_path / "data"
    arguments: dict[str, Any] = {
        "files": model_files,
        "tables": list(Path(pairs["tokenized"]).glob("*.parquet")),
        "data": [data],
        "options": replace(OPTIONS, checkpoint_every=1, epochs=4),
        "seed": 1,
        "checkpoint": tmp_path / "checkpoint",
    }

    def interrupt(task: Any, *_: Any) -> None:
        raise KeyboardInterrupt

    data.write_text("one", encoding="utf-8")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(
            "semantic_tokens.tasks.pair_classification.PairClassification.evaluate", interrupt
        )
        fine_tune_from_files(pairs, **arguments)
    if "data" in change:
        data.write_text(change["data"], encoding="utf-8")
    else:
        pairs = pairs | change
    with caplog.at_level("INFO"):
        fine_tune_from_files(pairs, **arguments)
    assert ("resuming at step" in caplog.text) == is_resumed
    assert ("starting again" in caplog.text) != is_resumed


def test_smaller_device_batch_gives_the_same_training(names: dict, model_files: ModelFiles) -> None:
    """Also if sentences have different numbers of words."""
    options = replace(OPTIONS, batch_size=3, epochs=3, dropout=0.0)
    (full_batch, _), (small_batches, _) = (
        fine_tune(make_task(**names), model_files, token_ids=EVERY_TOKEN, options=o, seed=1)
        for o in (options, replace(options, device_batch_size=1))
    )
    assert small_batches["final_loss"] == pytest.approx(full_batch["final_loss"], rel=1e-3)


@pytest.mark.parametrize("pooling", [None, "cls", "mean"])
def test_kept_model_has_its_tokenizer_and_the_names_of_its_classes(
    names: dict, pairs: dict, model_files: ModelFiles, tmp_path: Path, pooling: str | None
) -> None:
    task = names if pooling is None else pairs | {"options": {"pooling": pooling}}
    _, items, _ = fine_tune_from_files(
        task,
        model_files,
        [Path(task["tokenized"]) / f"{split}.parquet" for split in ("train", "test")],
        options=replace(OPTIONS, max_steps=1),
        seed=1,
        keep_model=tmp_path / "kept",
    )
    assert items
    config = AutoConfig.from_pretrained(tmp_path / "kept")
    expected = ["B-LOC", "B-PER", "I-PER", "O"]
    if pooling is not None:
        expected = sorted({row["label"] for row in PAIRS["train"]})
    assert config.id2label == dict(enumerate(expected))
    assert config.label2id == {label: number for number, label in enumerate(expected)}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "kept")
    assert tokenizer("a cat", "dog").input_ids == character_tokenizer()("a cat", "dog").input_ids


def test_an_unknown_kind_is_refused(pairs: dict, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'summarisation' is not one of token_classification"):
        make_task(**pairs | {"kind": "summarisation", "candidates": tmp_path})


@pytest.mark.parametrize("kind", ["reranking", "retrieval"])
def test_ranking_without_candidates_is_refused(pairs: dict, kind: str) -> None:
    with pytest.raises(InputError, match=f"kind {kind} needs BM25 candidates"):
        make_task(**pairs | {"kind": kind})
