"""Masked language modelling with semantic tokens: masking, sampling, prediction and training."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from tiny import (
    CLS,
    MASK,
    PAD,
    SEP,
    UNK,
    WIDTH,
    character_tokenizer,
    weights_that_matter,
    write_model,
)
from torch.nn import functional
from transformers.models.bert.modeling_bert import BertIntermediate, BertPreTrainedModel

from semantic_tokens.errors import InputError
from semantic_tokens.jobs.processes import in_processes
from semantic_tokens.modeling.embedding import semantic_embedding
from semantic_tokens.modeling.loading import ModelFiles, load_model
from semantic_tokens.modeling.masked_language_modelling import Logits, MaskedLanguageModel
from semantic_tokens.tokenization.examples import pack_corpus
from semantic_tokens.training import TrainingOptions
from semantic_tokens.training.pretraining import Objective, PackedCorpora, mask_tokens, pretrain

VOCABULARY = len(character_tokenizer())
SPECIAL = torch.tensor([PAD, CLS, SEP, MASK])
#: Special tokens as singletons, others in pairs.
PAIRED = torch.cat([torch.arange(5), 5 + torch.arange(VOCABULARY - 5) // 2])
OPTIONS = TrainingOptions(learning_rate=0.01, batch_size=6, max_steps=8, dropout=0.1)


def mask(input_ids: torch.Tensor, probability: float = 0.15, seed: int = 0, vocabulary_size=5000):
    return mask_tokens(
        input_ids,
        SPECIAL,
        mask_id=MASK,
        vocabulary_size=vocabulary_size,
        probability=probability,
        generator=torch.Generator().manual_seed(seed),
    )


# Masking


@pytest.fixture(scope="module")
def many() -> torch.Tensor:
    ids = torch.randint(5, 5000, (1000, 200), generator=torch.Generator().manual_seed(1))
    ids[:, 0], ids[:, -1], ids[:, 50], ids[::2, 60] = CLS, SEP, SEP, PAD
    return ids


@pytest.mark.parametrize("probability", [0.15, 0.4])
def test_so_many_are_chosen_and_of_them_80_10_10(many: torch.Tensor, probability: float) -> None:
    fed, targets = mask(many, probability)
    chosen = targets != -100
    eligible = ~torch.isin(many, SPECIAL)
    assert chosen.sum() / eligible.sum() == pytest.approx(probability, rel=0.03)
    assert torch.equal(targets[chosen], many[chosen])
    became_mask = (fed == MASK) & chosen
    kept = (fed == many) & chosen
    assert became_mask.sum() / chosen.sum() == pytest.approx(0.8, abs=0.01)
    assert kept.sum() / chosen.sum() == pytest.approx(0.1, abs=0.01)
    drawn = fed[chosen & ~became_mask & ~kept]
    assert len(drawn) / chosen.sum() == pytest.approx(0.1, abs=0.01)
    assert drawn.double().mean() == pytest.approx(2500, rel=0.05)  # from the entire vocabulary


def test_special_tokens_and_what_is_not_chosen_stay(many: torch.Tensor) -> None:
    fed, targets = mask(many, probability=0.9)
    special = torch.isin(many, SPECIAL)
    assert special.sum() > 3000
    assert torch.equal(fed[special], many[special])
    assert (targets[special] == -100).all()
    assert torch.equal(fed[targets == -100], many[targets == -100])


def test_masks_differ_from_step_to_step_and_are_the_seed_s(many: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(4)
    steps = [
        mask_tokens(
            many, SPECIAL, mask_id=MASK, vocabulary_size=9, probability=0.1, generator=generator
        )[1]
        for _ in range(2)
    ]
    assert not torch.equal(steps[0], steps[1])
    first, again, other = (mask(many, seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


# Sampling of languages


@pytest.fixture
def corpora(tmp_path: Path) -> list[Path]:
    """Two corpora with 400 German and 100 Swahili sequences.

    Each sequence contains a unique number.
    """
    save_file({"deu": _numbered(0, 300), "swa": _numbered(1000, 100)}, tmp_path / "a.safetensors")
    save_file({"deu": _numbered(300, 100)}, tmp_path / "b.safetensors")
    return [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]


def _numbered(first: int, count: int) -> np.ndarray:
    return np.repeat(np.arange(first, first + count, dtype=np.int32)[:, None], 4, axis=1)


@pytest.mark.parametrize(
    ("exponent", "german"),
    [(1.0, 0.8), (0.0, 0.5), (0.7, 0.8**0.7 / (0.8**0.7 + 0.2**0.7)), (0.5, 2 / 3)],
)
def test_languages_are_drawn_by_their_share_to_the_exponent(
    corpora: list[Path], exponent: float, german: float
) -> None:
    data = PackedCorpora(corpora, exponent)
    np.testing.assert_allclose(data.probabilities, [german, 1 - german])
    drawn = np.concatenate(list(data.batches(100, 100, seed=0)))[:, 0]
    assert np.mean(drawn < 1000) == pytest.approx(german, abs=0.015)


def test_no_sequence_repeats_before_all_of_its_language(corpora: list[Path]) -> None:
    drawn = np.concatenate(list(PackedCorpora(corpora, 1.0).batches(50, 40, seed=0)))[:, 0]
    german, swahili = drawn[drawn < 1000], drawn[drawn >= 1000]
    for language, size in ((german, 400), (swahili, 100)):
        assert len(language) > 2 * size
        rounds = [language[i : i + size] for i in range(0, len(language) - size, size)]
        assert all(len(set(turn.tolist())) == size for turn in rounds)
        assert rounds[0].tolist() != rounds[1].tolist()
        assert rounds[0].tolist() != sorted(rounds[0])


def test_batches_are_the_seed_s(corpora: list[Path]) -> None:
    data = PackedCorpora(corpora, 0.7)
    first, again, other = (np.stack(list(data.batches(6, 5, seed=seed))) for seed in (1, 1, 2))
    assert first.shape == (5, 6, 4)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_corpora_without_a_sequence_are_refused(tmp_path: Path) -> None:
    save_file({}, tmp_path / "none.safetensors")
    with pytest.raises(InputError, match=r"none\.safetensors contain no sequence; add a corpus"):
        PackedCorpora([tmp_path / "none.safetensors"], 0.7)


# The model


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    return write_model(tmp_path / "model", PAIRED)


def load(files: ModelFiles | Path, logits: Logits = "masked") -> MaskedLanguageModel:
    return MaskedLanguageModel(load_model("masked_language_modelling", files), logits)


def test_logits_of_the_masked_positions_are_those_of_the_whole(files: ModelFiles) -> None:
    model = load(files)
    ids = torch.randint(5, VOCABULARY, (4, 12), generator=torch.Generator().manual_seed(2))
    fed, targets = mask(ids, 0.3, vocabulary_size=VOCABULARY)
    groups = torch.where(targets == -100, -100, PAIRED[targets.clamp(min=0)])
    with torch.no_grad():
        states = model.model.bert(fed).last_hidden_state
        head = model.model.cls.predictions
        transformed = head.transform.LayerNorm(functional.gelu(head.transform.dense(states)))
        everywhere = transformed @ model.embedding.weight.T + head.bias
        expected = functional.cross_entropy(everywhere.flatten(0, 1), groups.flatten())
        loss = model(fed, targets)
        loss_of_all = load(files, "all")(fed, targets)
    assert everywhere.shape == (4, 12, len(PAIRED.unique()))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(loss_of_all, expected)


def test_the_original_and_another_member_of_its_group_are_one_answer(files: ModelFiles) -> None:
    model = load(files)
    fed = torch.tensor([[CLS, MASK, 9, SEP]])
    with torch.no_grad():
        losses = [
            float(model(fed, torch.tensor([[-100, answer, -100, -100]]))) for answer in (7, 8, 9)
        ]
    assert PAIRED[7] == PAIRED[8] != PAIRED[9]
    assert losses[0] == losses[1] != losses[2]


# All steps


@pytest.fixture
def given(tmp_path: Path, files: ModelFiles) -> dict:
    tokenizer = character_tokenizer()
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    passages = [
        {"language": language, "text": word * 12}
        for language, word in (("eng", "tomato "), ("deu", "tomate "), ("pol", "pomidor "))
    ]
    pack_corpus(passages, tokenizer, tmp_path / "corpus.safetensors", sequence_length=16)
    return {
        "files": files,
        "corpora": [tmp_path / "corpus.safetensors"],
        "tokenizer": tmp_path / "tokenizer/tokenizer.json",
        "options": OPTIONS,
        "objective": Objective(mask_probability=0.15, language_sampling_exponent=0.7, seed=3),
    }


def weights(files: ModelFiles | Path) -> dict[str, torch.Tensor]:
    return load(files).model.state_dict()


def assert_trained_alike(one: Path, other: Path) -> None:
    expected, actual = (weights_that_matter(load(folder)) for folder in (one, other))
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], rtol=1e-3, atol=2e-4)


def test_pretraining_learns_and_leaves_the_mapping(given: dict, tmp_path: Path) -> None:
    options = replace(OPTIONS, max_steps=40, dropout=0.0)
    losses = pretrain(**given | {"options": options}, target=tmp_path / "trained")
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    before, after = weights(given["files"]), weights(tmp_path / "trained")
    assert torch.equal(after["bert.embeddings.word_embeddings.token_to_group"], PAIRED)
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(moved) > 10


def test_the_cost_is_written(given: dict, tmp_path: Path) -> None:
    options = replace(OPTIONS, max_steps=7, batch_size=4, device_batch_size=2)
    written = tmp_path / "efficiency.json"
    pretrain(**given | {"options": options}, target=tmp_path / "trained", efficiency=written)
    taken = json.loads(written.read_text(encoding="utf-8"))
    model = load(tmp_path / "trained")
    assert taken["parameters"] == sum(p.numel() for p in set(model.parameters()))
    assert (taken["batch_size"], taken["device_batch_size"]) == (4, 2)
    assert (taken["sequence_length"], taken["steps_measured"]) == (16, 7)
    assert taken["steps_per_second"] > 0
    assert taken["peak_memory_bytes"] > 0


def test_gradient_checkpointing_learns_the_same(
    given: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Including dropout, whose masks are drawn again."""
    calls = []
    forward = BertIntermediate.forward
    monkeypatch.setattr(
        BertIntermediate, "forward", lambda self, *a, **k: calls.append(1) or forward(self, *a, **k)
    )
    losses, counts = [], []
    for name, checkpoints in (("plain", False), ("checkpointed", True)):
        options = replace(OPTIONS, dropout=0.1, max_steps=3, gradient_checkpointing=checkpoints)
        losses.append(pretrain(**given | {"options": options}, target=tmp_path / name))
        counts.append(len(calls))
        calls.clear()
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert counts[1] > counts[0]  # in the backward pass
    plain, checkpointed = weights(tmp_path / "plain"), weights(tmp_path / "checkpointed")
    for name in plain:
        torch.testing.assert_close(plain[name], checkpointed[name], rtol=1e-5, atol=1e-6)


def test_gradient_checkpointing_that_a_family_lacks_is_refused(
    given: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BertPreTrainedModel, "supports_gradient_checkpointing", False)
    options = replace(OPTIONS, gradient_checkpointing=True)
    with pytest.raises(
        InputError, match=r"`gradient_checkpointing: true` is not possible with Bert"
    ):
        pretrain(**given | {"options": options}, target=tmp_path / "trained")


def test_the_seed_decides_pretraining(given: dict, tmp_path: Path) -> None:
    losses = [
        pretrain(
            **given | {"objective": replace(given["objective"], seed=seed)},
            target=tmp_path / f"{run}",
        )
        for run, seed in enumerate((3, 3, 4))
    ]
    assert losses[0] == losses[1] != losses[2]
    first, again = weights(tmp_path / "0"), weights(tmp_path / "1")
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_an_interrupted_pretraining_ends_as_one_that_was_not(
    given: dict, tmp_path: Path, monkeypatch
) -> None:
    given["options"] = replace(OPTIONS, checkpoint_every=3)
    expected = pretrain(**given, target=tmp_path / "whole")

    batches = PackedCorpora.batches

    def cut_off(self, *arguments):
        yield from itertools.islice(batches(self, *arguments), 5)
        raise KeyboardInterrupt

    given["checkpoint"] = tmp_path / "checkpoint"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PackedCorpora, "batches", cut_off)
        pretrain(**given, target=tmp_path / "resumed")
    assert not (tmp_path / "resumed").exists()
    assert pretrain(**given, target=tmp_path / "resumed") == expected
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_smaller_device_batch_computes_the_same(given: dict, tmp_path: Path) -> None:
    """Even if a device's batch has no masked token."""
    options = replace(OPTIONS, dropout=0.0, max_steps=4)
    given["objective"] = replace(given["objective"], mask_probability=0.05)
    expected = pretrain(**given | {"options": options}, target=tmp_path / "whole")
    smaller = replace(options, device_batch_size=1)
    losses = pretrain(**given | {"options": smaller}, target=tmp_path / "smaller")
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert_trained_alike(tmp_path / "whole", tmp_path / "smaller")


def test_two_processes_train_as_one_does(given: dict, tmp_path: Path) -> None:
    given["options"] = replace(OPTIONS, dropout=0.0, max_steps=4, device_batch_size=2)
    alone, together = (
        in_processes(count, pretrain, **given, target=tmp_path / str(count)) for count in (1, 2)
    )
    np.testing.assert_allclose(together, alone, rtol=1e-4)
    assert_trained_alike(tmp_path / "1", tmp_path / "2")


def test_a_reduced_dimension_stays_reduced(given: dict, tmp_path: Path) -> None:
    dimension = 5
    given["files"] = write_model(tmp_path / "reduced", PAIRED, dimension)
    pretrain(**given, target=tmp_path / "trained")
    embedding = semantic_embedding(load_model("none", tmp_path / "trained"))
    assert embedding.weight.shape == (len(PAIRED.unique()), dimension)
    embedded = embedding(torch.arange(VOCABULARY))
    assert embedded.shape == (VOCABULARY, WIDTH)
    assert torch.count_nonzero(embedded[:, dimension:]) == 0
    for special in (PAD, UNK, CLS, SEP, MASK):
        assert (embedding.token_to_group == embedding.token_to_group[special]).sum() == 1


def test_a_tokenizer_without_a_mask_is_refused(given: dict, tmp_path: Path) -> None:
    tokenizer = character_tokenizer()
    tokenizer.mask_token = None
    tokenizer.save_pretrained(given["tokenizer"].parent)
    with pytest.raises(InputError, match=r"tokenizer\.json has no mask token"):
        pretrain(**given, target=tmp_path / "trained")


def test_without_a_number_of_steps_there_is_no_pretraining(given: dict, tmp_path: Path) -> None:
    given["options"] = replace(OPTIONS, max_steps=None)
    with pytest.raises(InputError, match=r"set `pretraining\.max_steps`"):
        pretrain(**given, target=tmp_path / "trained")
