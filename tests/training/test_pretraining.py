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
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.models.bert.modeling_bert import BertIntermediate, BertPreTrainedModel

from semantic_tokens.errors import InputError
from semantic_tokens.jobs.processes import in_processes
from semantic_tokens.modeling.embedding import semantic_embedding
from semantic_tokens.modeling.loading import ModelFiles, load_model
from semantic_tokens.modeling.masked_language_modelling import Logits, MaskedLanguageModel
from semantic_tokens.tokenization.examples import pack_corpus
from semantic_tokens.training import TrainingOptions
from semantic_tokens.training.measuring import measure
from semantic_tokens.training.pretraining import (
    Objective,
    PackedCorpora,
    Pretraining,
    held_out_losses,
    mask_tokens,
    pretrain,
)

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
        random_from=torch.arange(vocabulary_size),
        probability=probability,
        generator=torch.Generator().manual_seed(seed),
    )


# Masking


@pytest.fixture(scope="module")
def token_ids() -> torch.Tensor:
    ids = torch.randint(5, 5000, (1000, 200), generator=torch.Generator().manual_seed(1))
    ids[:, 0], ids[:, -1], ids[:, 50], ids[::2, 60] = CLS, SEP, SEP, PAD
    return ids


@pytest.mark.parametrize("probability", [0.15, 0.4])
def test_masking_follows_the_probability_and_the_80_10_10_rule(
    token_ids: torch.Tensor, probability: float
) -> None:
    masked_ids, targets = mask(token_ids, probability)
    chosen = targets != -100
    eligible = ~torch.isin(token_ids, SPECIAL)
    assert chosen.sum() / eligible.sum() == pytest.approx(probability, rel=0.03)
    assert torch.equal(targets[chosen], token_ids[chosen])
    became_mask = (masked_ids == MASK) & chosen
    kept = (masked_ids == token_ids) & chosen
    assert became_mask.sum() / chosen.sum() == pytest.approx(0.8, abs=0.01)
    assert kept.sum() / chosen.sum() == pytest.approx(0.1, abs=0.01)
    drawn = masked_ids[chosen & ~became_mask & ~kept]
    assert len(drawn) / chosen.sum() == pytest.approx(0.1, abs=0.01)
    assert drawn.double().mean() == pytest.approx(2500, rel=0.05)  # from the entire vocabulary


def test_special_and_unchosen_tokens_are_unchanged(token_ids: torch.Tensor) -> None:
    masked_ids, targets = mask(token_ids, probability=0.9)
    special = torch.isin(token_ids, SPECIAL)
    assert special.sum() > 3000
    assert torch.equal(masked_ids[special], token_ids[special])
    assert (targets[special] == -100).all()
    assert torch.equal(masked_ids[targets == -100], token_ids[targets == -100])


def test_masks_differ_between_steps_and_depend_on_the_seed(token_ids: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(4)
    steps = [
        mask_tokens(
            token_ids,
            SPECIAL,
            mask_id=MASK,
            random_from=torch.arange(9),
            probability=0.1,
            generator=generator,
        )[1]
        for _ in range(2)
    ]
    assert not torch.equal(steps[0], steps[1])
    first, repeated, other = (mask(token_ids, seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, repeated) and not torch.equal(first, other)


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
def test_languages_are_sampled_by_their_exponentiated_share(
    corpora: list[Path], exponent: float, german: float
) -> None:
    data = PackedCorpora(corpora, exponent)
    np.testing.assert_allclose(data.probabilities, [german, 1 - german])
    drawn = np.concatenate(list(data.batches(100, 100, seed=0)))[:, 0]
    assert np.mean(drawn < 1000) == pytest.approx(german, abs=0.015)


def test_sequences_repeat_only_after_all_of_their_language(corpora: list[Path]) -> None:
    drawn = np.concatenate(list(PackedCorpora(corpora, 1.0).batches(50, 40, seed=0)))[:, 0]
    german, swahili = drawn[drawn < 1000], drawn[drawn >= 1000]
    for language, size in ((german, 400), (swahili, 100)):
        assert len(language) > 2 * size
        rounds = [language[i : i + size] for i in range(0, len(language) - size, size)]
        assert all(len(set(one_round.tolist())) == size for one_round in rounds)
        assert rounds[0].tolist() != rounds[1].tolist()
        assert rounds[0].tolist() != sorted(rounds[0])


def test_batches_depend_on_the_seed(corpora: list[Path]) -> None:
    data = PackedCorpora(corpora, 0.7)
    first, repeated, other = (np.stack(list(data.batches(6, 5, seed=seed))) for seed in (1, 1, 2))
    assert first.shape == (5, 6, 4)
    assert np.array_equal(first, repeated) and not np.array_equal(first, other)


@pytest.mark.parametrize("count", [0, 120, 300, 350, 400])
def test_blocks_are_the_first_sequences(corpora: list[Path], count: int) -> None:
    """Also if they end in a later file, or within a block."""
    rows = PackedCorpora(corpora, 0.7).sequences["deu"]
    blocks = list(rows.blocks(count, size=70))
    assert all(len(block) <= 70 for block in blocks)
    assert [n for block in blocks for n in block[:, 0].tolist()] == list(range(count))


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


def test_loss_at_masked_positions_equals_the_loss_over_all_logits(files: ModelFiles) -> None:
    model = load(files)
    ids = torch.randint(5, VOCABULARY, (4, 12), generator=torch.Generator().manual_seed(2))
    masked_ids, targets = mask(ids, 0.3, vocabulary_size=VOCABULARY)
    groups = torch.where(targets == -100, -100, PAIRED[targets.clamp(min=0)])
    with torch.no_grad():
        states = model.model.bert(masked_ids).last_hidden_state
        head = model.model.cls.predictions
        transformed = head.transform.LayerNorm(functional.gelu(head.transform.dense(states)))
        everywhere = transformed @ model.embedding.weight.T + head.bias
        expected = functional.cross_entropy(everywhere.flatten(0, 1), groups.flatten())
        loss = model(masked_ids, targets)
        loss_of_all = load(files, "all")(masked_ids, targets)
    assert everywhere.shape == (4, 12, len(PAIRED.unique()))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(loss_of_all, expected)


def test_members_of_one_group_have_the_same_loss(files: ModelFiles) -> None:
    model = load(files)
    masked_ids = torch.tensor([[CLS, MASK, 9, SEP]])
    with torch.no_grad():
        losses = [
            float(model(masked_ids, torch.tensor([[-100, answer, -100, -100]])))
            for answer in (7, 8, 9)
        ]
    assert PAIRED[7] == PAIRED[8] != PAIRED[9]
    assert losses[0] == losses[1] != losses[2]


# All steps


@pytest.fixture
def settings(tmp_path: Path, files: ModelFiles) -> dict:
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


def assert_equal_weights(one: Path, other: Path) -> None:
    expected, actual = (weights_that_matter(load(folder)) for folder in (one, other))
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], rtol=1e-3, atol=2e-4)


def test_pretraining_lowers_the_loss_and_keeps_the_mapping(settings: dict, tmp_path: Path) -> None:
    options = replace(OPTIONS, max_steps=40, dropout=0.0)
    losses = pretrain(**settings | {"options": options}, target=tmp_path / "trained")
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    before, after = weights(settings["files"]), weights(tmp_path / "trained")
    assert torch.equal(after["bert.embeddings.word_embeddings.token_to_group"], PAIRED)
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(moved) > 10


def test_unknown_tokens_are_never_predicted(settings: dict) -> None:
    objective = replace(settings["objective"], mask_probability=0.9)
    pretraining = Pretraining(**settings | {"objective": objective})
    ids = torch.randint(VOCABULARY, (50, 40), generator=torch.Generator().manual_seed(1))
    ids[:, ::4] = UNK
    fed, targets = pretraining.mask(ids, torch.Generator().manual_seed(2))
    assert (targets[ids == UNK] == -100).all() and (fed[ids == UNK] == UNK).all()
    assert (targets != -100).float().mean() > 0.5


def test_subwords_in_the_group_of_the_unknown_token_are_not_used(
    settings: dict, tmp_path: Path
) -> None:
    """First-k removes subwords: they cannot be predicted, and are no random tokens."""
    groups = torch.arange(VOCABULARY)
    groups[20:] = UNK
    files = write_model(tmp_path / "first_k", groups)
    objective = replace(settings["objective"], mask_probability=0.9)
    pretraining = Pretraining(**settings | {"files": files, "objective": objective})
    ids = torch.randint(5, VOCABULARY, (200, 40), generator=torch.Generator().manual_seed(1))
    fed, targets = pretraining.mask(ids, torch.Generator().manual_seed(2))
    assert (targets[ids >= 20] == -100).all() and torch.equal(fed[ids >= 20], ids[ids >= 20])
    replaced = fed[(fed != ids) & (fed != MASK)]
    assert len(replaced) > 50 and replaced.max() < 20 and UNK in replaced


def test_rows_without_a_subword_are_no_random_tokens(settings: dict, tmp_path: Path) -> None:
    files = write_model(tmp_path / "padded", torch.arange(VOCABULARY + 30))
    objective = replace(settings["objective"], mask_probability=0.9)
    pretraining = Pretraining(**settings | {"files": files, "objective": objective})
    ids = torch.randint(5, VOCABULARY, (200, 40), generator=torch.Generator().manual_seed(1))
    fed, _ = pretraining.mask(ids, torch.Generator().manual_seed(2))
    assert fed.max() < VOCABULARY


def test_ids_without_a_subword_are_no_random_tokens(settings: dict) -> None:
    file = settings["tokenizer"]
    data = json.loads(file.read_text())
    removed = torch.tensor([data["model"]["vocab"].pop(letter) for letter in "kxz"])
    file.write_text(json.dumps(data))
    objective = replace(settings["objective"], mask_probability=0.9)
    pretraining = Pretraining(**settings | {"objective": objective})
    ids = torch.full((200, 40), 5)
    fed, _ = pretraining.mask(ids, torch.Generator().manual_seed(2))
    assert len(fed.unique()) == VOCABULARY - 3  # every other id
    assert not torch.isin(fed, removed).any()


def test_guess_by_frequency_ignores_tokens_that_are_never_predicted(settings: dict) -> None:
    objective = replace(settings["objective"], held_out_sequences=2)
    pretraining = Pretraining(**settings | {"objective": objective})
    never = pretraining.never_predicted
    assert set(never.tolist()) == {PAD, CLS, SEP, MASK, UNK}
    counts = torch.ones(len(PAIRED.unique()), dtype=torch.float64)
    for name, rows in pretraining.data.sequences.items():
        for index in range(pretraining.data.trained(name)):
            for token in rows[index].tolist():
                counts[PAIRED[token]] += 1
    counts[PAIRED[never]] = 0
    found = held_out_losses(pretraining.model, pretraining.data, pretraining.mask, never, seed=7)
    for language, record in found["by_language"].items():
        generator = torch.Generator().manual_seed(7)
        nats = []
        for row in pretraining.data.held_out_sequences(language):
            _, targets = pretraining.mask(torch.from_numpy(row.astype(np.int64))[None], generator)
            nats += (-(counts / counts.sum()).log())[PAIRED[targets[targets != -100]]].tolist()
        assert record["loss_by_frequency"] == pytest.approx(np.mean(nats))


def test_held_out_loss_is_the_mean_over_masked_tokens(settings: dict) -> None:
    objective = replace(settings["objective"], held_out_sequences=2)
    pretraining = Pretraining(**settings | {"objective": objective})
    found = held_out_losses(
        pretraining.model, pretraining.data, pretraining.mask, pretraining.never_predicted, seed=7
    )
    assert set(found["by_language"]) == {
        name for name, count in pretraining.data.held_out.items() if count
    }
    model = pretraining.plain.eval()
    for language, record in found["by_language"].items():
        generator = torch.Generator().manual_seed(7)
        losses = []
        for row in pretraining.data.held_out_sequences(language):
            fed, targets = pretraining.mask(torch.from_numpy(row.astype(np.int64))[None], generator)
            chosen = targets != -100
            with torch.no_grad():
                # Also here the answer is the group.
                states = model.bert(fed).last_hidden_state[chosen]
                head = model.cls.predictions
                logits = head.transform(states) @ model.bert.embeddings.word_embeddings.weight.T
                groups = PAIRED[targets[chosen]]
                losses += functional.cross_entropy(
                    logits + head.bias, groups, reduction="none"
                ).tolist()
        assert record["tokens"] == len(losses)
        assert record["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
        lost, guessed, tokens = np.array(record["sequences"]).sum(axis=0)
        assert lost / tokens == pytest.approx(record["loss"]) and tokens == record["tokens"]
        assert guessed / tokens == pytest.approx(record["loss_by_frequency"])


class LargestTensor(TorchDispatchMode):
    """The number of elements of the largest tensor that is computed."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else [result]:
            if isinstance(value, torch.Tensor):
                self.elements = max(self.elements, value.numel())
        return result


def test_memory_of_all_logits_grows_with_the_vocabulary(tmp_path: Path) -> None:
    """Appendix D: the paper's logits are [B, L, V']; ours are those of masked positions."""
    ids = torch.randint(5, VOCABULARY, (8, 16), generator=torch.Generator().manual_seed(2))
    _, targets = mask(ids, 0.15, vocabulary_size=VOCABULARY)
    of_masked = set()
    for name, groups in (("all", torch.arange(VOCABULARY)), ("pairs", PAIRED)):
        files = write_model(tmp_path / name, groups)
        largest = {}
        for logits in ("masked", "all"):
            model = load(files, logits)
            with LargestTensor() as found, torch.no_grad():
                model(ids, targets)
            largest[logits] = found.elements
        assert largest["all"] == ids.numel() * len(groups.unique())
        assert largest["masked"] < largest["all"]
        of_masked.add(largest["masked"])
    assert len(of_masked) == 1  # does not depend on the vocabulary


def test_efficiency_record_is_written(settings: dict, tmp_path: Path) -> None:
    options = replace(OPTIONS, batch_size=4, device_batch_size=2)
    path = tmp_path / "efficiency.json"
    measure(**settings | {"options": options}, efficiency=path, steps=7)
    record = json.loads(path.read_text(encoding="utf-8"))
    model = load(settings["files"])
    assert record["parameters"] == sum(p.numel() for p in set(model.parameters()))
    assert (record["batch_size"], record["device_batch_size"]) == (4, 2)
    assert (record["sequence_length"], record["steps_measured"]) == (16, 7)
    assert record["steps_per_second"] > 0
    assert record["peak_memory_bytes"] > 0


def test_gradient_checkpointing_gives_the_same_training(
    settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with dropout, because the same masks are drawn again."""
    calls = []
    forward = BertIntermediate.forward
    monkeypatch.setattr(
        BertIntermediate, "forward", lambda self, *a, **k: calls.append(1) or forward(self, *a, **k)
    )
    losses, counts = [], []
    for name, checkpoints in (("plain", False), ("checkpointed", True)):
        options = replace(OPTIONS, dropout=0.1, max_steps=3, gradient_checkpointing=checkpoints)
        losses.append(pretrain(**settings | {"options": options}, target=tmp_path / name))
        counts.append(len(calls))
        calls.clear()
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert counts[1] > counts[0]  # in the backward pass
    plain, checkpointed = weights(tmp_path / "plain"), weights(tmp_path / "checkpointed")
    for name in plain:
        torch.testing.assert_close(plain[name], checkpointed[name], rtol=1e-5, atol=1e-6)


def test_unsupported_gradient_checkpointing_is_refused(
    settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BertPreTrainedModel, "supports_gradient_checkpointing", False)
    options = replace(OPTIONS, gradient_checkpointing=True)
    with pytest.raises(InputError, match=r"`gradient_checkpointing: true` .* Bert"):
        pretrain(**settings | {"options": options}, target=tmp_path / "trained")


def test_pretraining_depends_on_the_seed(settings: dict, tmp_path: Path) -> None:
    losses = [
        pretrain(
            **settings | {"objective": replace(settings["objective"], seed=seed)},
            target=tmp_path / f"{run}",
        )
        for run, seed in enumerate((3, 3, 4))
    ]
    assert losses[0] == losses[1] != losses[2]
    first, repeated = weights(tmp_path / "0"), weights(tmp_path / "1")
    assert all(torch.equal(first[name], repeated[name]) for name in first)


def test_resumed_pretraining_equals_an_uninterrupted_one(
    settings: dict, tmp_path: Path, monkeypatch
) -> None:
    settings["options"] = replace(OPTIONS, checkpoint_every=3)
    expected = pretrain(**settings, target=tmp_path / "uninterrupted")

    batches = PackedCorpora.batches

    def interrupt(self, *arguments):
        yield from itertools.islice(batches(self, *arguments), 5)
        raise KeyboardInterrupt

    settings["checkpoint"] = tmp_path / "checkpoint"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PackedCorpora, "batches", interrupt)
        pretrain(**settings, target=tmp_path / "resumed")
    assert not (tmp_path / "resumed").exists()
    assert pretrain(**settings, target=tmp_path / "resumed") == expected
    uninterrupted, resumed = weights(tmp_path / "uninterrupted"), weights(tmp_path / "resumed")
    assert all(torch.equal(uninterrupted[name], resumed[name]) for name in uninterrupted)


def test_smaller_device_batch_gives_the_same_training(settings: dict, tmp_path: Path) -> None:
    """Even if a device's batch has no masked token."""
    options = replace(OPTIONS, dropout=0.0, max_steps=4)
    settings["objective"] = replace(settings["objective"], mask_probability=0.05)
    expected = pretrain(**settings | {"options": options}, target=tmp_path / "uninterrupted")
    smaller = replace(options, device_batch_size=1)
    losses = pretrain(**settings | {"options": smaller}, target=tmp_path / "smaller")
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert_equal_weights(tmp_path / "uninterrupted", tmp_path / "smaller")


def test_two_processes_train_like_one(settings: dict, tmp_path: Path) -> None:
    settings["options"] = replace(OPTIONS, dropout=0.0, max_steps=4, device_batch_size=2)
    single, shared = (
        in_processes(count, pretrain, **settings, target=tmp_path / str(count)) for count in (1, 2)
    )
    np.testing.assert_allclose(shared, single, rtol=1e-4)
    assert_equal_weights(tmp_path / "1", tmp_path / "2")


def test_a_reduced_dimension_stays_reduced(settings: dict, tmp_path: Path) -> None:
    dimension = 5
    settings["files"] = write_model(tmp_path / "reduced", PAIRED, dimension)
    pretrain(**settings, target=tmp_path / "trained")
    embedding = semantic_embedding(load_model("none", tmp_path / "trained"))
    assert embedding.weight.shape == (len(PAIRED.unique()), dimension)
    embedded = embedding(torch.arange(VOCABULARY))
    assert embedded.shape == (VOCABULARY, WIDTH)
    assert torch.count_nonzero(embedded[:, dimension:]) == 0
    for special in (PAD, UNK, CLS, SEP, MASK):
        assert (embedding.token_to_group == embedding.token_to_group[special]).sum() == 1


def test_a_tokenizer_without_a_mask_is_refused(settings: dict, tmp_path: Path) -> None:
    tokenizer = character_tokenizer()
    tokenizer.mask_token = None
    tokenizer.save_pretrained(settings["tokenizer"].parent)
    with pytest.raises(InputError, match=r"tokenizer\.json has no mask token"):
        pretrain(**settings, target=tmp_path / "trained")


def test_pretraining_without_max_steps_is_refused(settings: dict, tmp_path: Path) -> None:
    settings["options"] = replace(OPTIONS, max_steps=None)
    with pytest.raises(InputError, match=r"set `pretraining\.training\.max_steps`"):
        pretrain(**settings, target=tmp_path / "trained")
