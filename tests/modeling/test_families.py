"""Encoders of many families, with random weights."""

import itertools
from pathlib import Path
from typing import Any

import families
import pytest
import torch
import transformers as hf
from families import FAMILIES, TEXTS, Made
from safetensors.torch import load_file

from semantic_tokens.files import read_json
from semantic_tokens.grouping.first_k import first_k_groups
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.modeling.embedding import semantic_embedding
from semantic_tokens.modeling.encoders import (
    longest_text,
    open_config,
    read_embeddings,
    vocabulary_parameters,
)
from semantic_tokens.modeling.export import export
from semantic_tokens.modeling.loading import HEADS, ModelFiles, load_model, save_model
from semantic_tokens.modeling.masked_language_modelling import MaskedLanguageModel
from semantic_tokens.modeling.pooling import compute_scores_in_float32
from semantic_tokens.reuse import semantic_version
from semantic_tokens.tasks.pair_classification import load_classifier
from semantic_tokens.tasks.task import model_inputs, outputs
from semantic_tokens.tokenization.examples import pack_corpus
from semantic_tokens.tokenization.vocabulary import (
    first_k_ids,
    truncate_tokenizer,
    unknown_id,
)
from semantic_tokens.training import TrainingOptions
from semantic_tokens.training.pretraining import Objective, PackedCorpora, pretrain

# Fixtures.
made = families.made
modules_of_checkpoints = families.modules_of_checkpoints


def tensors_of(output: Any) -> list[torch.Tensor]:
    return [value for value in output.to_tuple() if torch.is_tensor(value)]


def theirs(made: Made, head: str, folder: Path | None = None, **options: Any) -> Any:
    """Their model with a head of transformers. New weights are from seed 1."""
    torch.manual_seed(1)
    auto_class = HEADS[head]
    config = hf.AutoConfig.from_pretrained(made.folder)
    if head == "question_answering" and type(config) not in auto_class._model_mapping:
        auto_class, options = hf.AutoModelForTokenClassification, {"num_labels": 2}
    elif "classification" in head:
        options["num_labels"] = 3
    return auto_class.from_pretrained(folder or made.folder, **options).eval()


def ours(head: str, files: ModelFiles | Path) -> hf.PreTrainedModel:
    return load_model(head, files, labels=3 if "classification" in head else None)


# Computations


@pytest.mark.parametrize("head", HEADS)
def test_every_subword_its_own_group_is_the_original(made: Made, tmp_path: Path, head: str) -> None:
    model = ours(head, made.files(tmp_path))
    mask = torch.ones_like(made.ids)
    mask[1, 9:] = 0
    with torch.no_grad():
        found = tensors_of(model(input_ids=made.ids, attention_mask=mask))
        expected = tensors_of(theirs(made, head)(input_ids=made.ids, attention_mask=mask))
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        if head == "masked_language_modelling" and one is found[0]:
            other = other[..., : made.subwords]  # the padding rows belong to no subword
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def numbers_of(logits: torch.Tensor) -> list[float]:
    """Three logits, and the standard deviation of all."""
    some = logits[0, 0, 0], logits[1, 5, 7], logits[2, 15, -1], logits.std()
    return [round(float(number), 4) for number in some]


def test_a_library_that_computes_something_else_is_noticed(made: Made, tmp_path: Path) -> None:
    files = made.files(tmp_path, per_group=2, dimension=6)
    with torch.no_grad():
        logits = ours("masked_language_modelling", files)(input_ids=made.ids).logits
    assert numbers_of(logits) == pytest.approx(FAMILIES[made.name].numbers, abs=2e-4)


def test_missing_columns_are_zero(made: Made, tmp_path: Path) -> None:
    """A reduced dimension is the original with the other columns set to zero."""
    files = made.files(tmp_path, dimension=5)
    original = theirs(made, "masked_language_modelling")
    original.get_input_embeddings().weight.data[:, 5:] = 0
    if original.get_output_embeddings().weight is not original.get_input_embeddings().weight:
        assert not original.config.tie_word_embeddings or made.name in ("rembert", "eurobert")
    with torch.no_grad():
        found = ours("masked_language_modelling", files)(input_ids=made.ids).logits
        expected = original(input_ids=made.ids).logits[..., : made.subwords]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_logits_of_all_and_of_masked_positions_give_the_same_training(
    made: Made, tmp_path: Path
) -> None:
    files = made.files(tmp_path, per_group=2, dimension=6)
    masked = torch.full_like(made.ids, -100)
    masked[:, 3], masked[0, 5:8] = made.ids[:, 3], made.ids[0, 5:8]
    found = []
    for logits in ("masked", "all"):
        model = MaskedLanguageModel(ours("masked_language_modelling", files), logits)
        loss = model(made.ids, masked)
        loss.backward()
        gradients = {
            n: p.grad.to_dense() for n, p in model.named_parameters() if p.grad is not None
        }
        found.append((loss.detach(), gradients))
    assert len(found[0][1]) > 15
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


def test_first_k_computes_what_the_original_does_of_the_text_it_cuts(
    made: Made, tmp_path: Path
) -> None:
    tokenizer, embeddings = made.tokenizer, read_embeddings(made.folder, made.subwords)
    k = made.subwords - 12 if made.tokenizer.backend_tokenizer.decoder else made.subwords // 2
    kept = first_k_ids(tokenizer, k)
    first_k_groups(embeddings, kept, unknown_id(tokenizer)).save(tmp_path / "groups.safetensors")
    files = ModelFiles(made.folder, tmp_path / "groups.safetensors")
    ids = truncate_tokenizer(tokenizer, kept)(TEXTS, padding=True, return_tensors="pt").input_ids
    assert set(ids.flatten().tolist()) <= set(kept)
    assert len(semantic_embedding(load_model("none", files)).weight) == k
    with torch.no_grad():
        found, expected = (m(input_ids=ids)[0] for m in (ours("none", files), theirs(made, "none")))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_token_types_are_given_to_models_that_use_them(made: Made, tmp_path: Path) -> None:
    """A tokenizer may return type 1 for the second text of a pair, even if the model has no
    types."""
    model = ours("sequence_classification", made.files(tmp_path))
    ids = made.ids[:2].tolist()
    with torch.no_grad():
        batches = [model_inputs(ids, 0, [[0] * 8 + [kind] * 8] * 2) for kind in (0, 1)]
        plain, typed = (outputs(model, dict(batch)).logits for batch in batches)
    types = getattr(model.config, "type_vocab_size", 0) or 0
    knows = made.name in ("bert", "electra", "albert", "rembert", "convbert", "ernie", "roformer")
    assert (not torch.equal(plain, typed)) == (types > 1) == knows


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_scores_of_rankings_are_those_of_the_head(made: Made, tmp_path: Path, pooling: str) -> None:
    """The head's last layer is found in every family, and computes in float32 under autocast."""
    model = load_classifier(made.files(tmp_path), 2, pooling, seed=1).eval()
    batch = model_inputs(made.ids.tolist(), 0)
    with torch.no_grad():
        before = outputs(model, dict(batch)).logits
        compute_scores_in_float32(model, 2)
        after = outputs(model, dict(batch)).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            halved = outputs(model, dict(batch)).logits
    assert before.shape == (3, 2)
    assert torch.equal(before, after)
    assert halved.dtype == torch.float32


# Files


def test_grouping_leaves_every_other_tensor_bit_for_bit(made: Made, tmp_path: Path) -> None:
    result = semantic_version(made.folder, tmp_path / "grouped", ratio=0.5)
    before, after = (load_file(f / "model.safetensors") for f in (made.folder, result.folder))
    assert list(before) == list(after)
    of_subwords = vocabulary_parameters(theirs(made, "masked_language_modelling"))
    token_to_group = Groups.load(result.folder / "semantic_tokens.safetensors").token_to_group
    assert result.groups == round(0.5 * result.subwords) == int(token_to_group.max()) + 1
    first = torch.tensor([token_to_group.tolist().index(g) for g in token_to_group.tolist()])
    for name, tensor in before.items():
        assert after[name].dtype == tensor.dtype
        if name not in of_subwords:
            assert torch.equal(after[name], tensor), name
            continue
        assert not torch.equal(after[name], tensor), name
        assert torch.equal(after[name][: made.subwords], after[name][first]), name
        assert torch.equal(after[name][made.subwords :], tensor[made.subwords :]), name
    with torch.no_grad():
        states = theirs(made, "none", result.folder)(input_ids=made.ids)[0]
        files = ModelFiles(made.folder, result.folder / "semantic_tokens.safetensors")
        expected = ours("none", files)(input_ids=made.ids)[0]
    torch.testing.assert_close(states, expected, atol=1e-6, rtol=1e-6)


@pytest.fixture
def trained(made: Made, tmp_path: Path) -> tuple[hf.PreTrainedModel, Path]:
    """A model with few columns after a training step, and its folder."""
    files = made.files(tmp_path, per_group=2, dimension=6)
    model = ours("masked_language_modelling", files)
    objective = MaskedLanguageModel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    objective(made.ids, made.ids).backward()
    optimizer.step()
    objective.decoder.returns_states = False
    save_model(model, files, made.folder, tmp_path / "saved", recipe="a recipe")
    return model.eval(), tmp_path / "saved"


def test_a_saved_model_opens_below_every_head(
    made: Made, trained: tuple[hf.PreTrainedModel, Path]
) -> None:
    model, folder = trained
    with torch.no_grad():
        states = model.base_model(input_ids=made.ids)[0]
        for head in HEADS:
            again = ours(head, folder)
            assert torch.equal(again.base_model(input_ids=made.ids)[0], states), head
            embedding = semantic_embedding(again)
            assert embedding.weight.shape == semantic_embedding(model).weight.shape
        logits = ours("masked_language_modelling", folder)(input_ids=made.ids).logits
        assert torch.equal(logits, model(input_ids=made.ids).logits)
    kept = load_file(folder / "model.safetensors")
    sizes = {t.shape[0] for n, t in kept.items() if t.ndim and not n.endswith("token_to_group")}
    assert made.subwords + made.padding_rows not in sizes


def test_transformers_opens_a_saved_model_where_its_code_is_trusted(
    made: Made, trained: tuple[hf.PreTrainedModel, Path]
) -> None:
    model, folder = trained
    with torch.no_grad():
        states = model.base_model(input_ids=made.ids)[0]
        for head, auto_class in HEADS.items():
            labels = {"num_labels": 3} if "classification" in head else {}
            found = auto_class.from_pretrained(folder, trust_remote_code=True, **labels)
            assert torch.equal(found.base_model(input_ids=made.ids)[0], states), head
            with pytest.raises(ValueError, match=r"trust_remote_code=True"):
                auto_class.from_pretrained(folder, trust_remote_code=False)
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == made.subwords
    assert tokenizer(TEXTS).input_ids == made.tokenizer(TEXTS).input_ids


def test_an_exported_model_needs_nothing_of_ours(
    made: Made, trained: tuple[hf.PreTrainedModel, Path], tmp_path: Path
) -> None:
    model, folder = trained
    export(ModelFiles(folder), folder, tmp_path / "plain")
    with torch.no_grad():
        encoder = hf.AutoModel.from_pretrained(tmp_path / "plain").eval()
        states = model.base_model(input_ids=made.ids)[0]
        torch.testing.assert_close(encoder(made.ids)[0], states, atol=1e-6, rtol=1e-6)
        plain, info = hf.AutoModelForMaskedLM.from_pretrained(
            tmp_path / "plain", output_loading_info=True
        )
        assert not info["missing_keys"] and not info["mismatched_keys"]
        groups = semantic_embedding(model).token_to_group
        expected = model(input_ids=made.ids).logits[..., groups]
        found = plain.eval()(input_ids=made.ids).logits
    assert found.shape[-1] == made.subwords + made.padding_rows
    torch.testing.assert_close(found[..., : made.subwords], expected, atol=1e-6, rtol=1e-6)
    is_tied = [
        m.get_output_embeddings().weight is m.get_input_embeddings().weight
        for m in (theirs(made, "masked_language_modelling"), plain)
    ]
    assert is_tied[0] == is_tied[1] == (made.name not in ("rembert", "eurobert"))
    tokenizer = hf.AutoTokenizer.from_pretrained(tmp_path / "plain")
    assert tokenizer(TEXTS).input_ids == made.tokenizer(TEXTS).input_ids


def test_an_interrupted_pretraining_ends_as_one_that_was_not(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passages = [{"language": "eng", "text": "a red tomato in the house. " * 40}]
    pack_corpus(passages, made.tokenizer, tmp_path / "corpus.safetensors", sequence_length=16)
    given = {
        "files": made.files(tmp_path, per_group=2),
        "corpora": [tmp_path / "corpus.safetensors"],
        "tokenizer": made.folder / "tokenizer.json",
        "options": TrainingOptions(
            learning_rate=0.01, batch_size=4, max_steps=4, dropout=0.1, checkpoint_every=2
        ),
        "objective": Objective(0.3, language_sampling_exponent=0.7, held_out_sequences=1, seed=3),
    }
    expected = pretrain(**given, target=tmp_path / "whole", held_out=tmp_path / "held-out.json")
    assert 0 < read_json(tmp_path / "held-out.json")["by_language"]["eng"]["loss"] < 20
    batches = PackedCorpora.batches

    def cut_off(self: PackedCorpora, *arguments: Any) -> Any:
        yield from itertools.islice(batches(self, *arguments), 3)
        raise KeyboardInterrupt

    given["checkpoint"] = tmp_path / "checkpoint"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PackedCorpora, "batches", cut_off)
        pretrain(**given, target=tmp_path / "resumed")
    assert pretrain(**given, target=tmp_path / "resumed") == expected
    whole, resumed = (load_file(tmp_path / n / "model.safetensors") for n in ("whole", "resumed"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    before = load_file(made.folder / "model.safetensors")
    moved = [n for n in before.keys() & whole.keys() if before[n].shape == whole[n].shape
             and not torch.equal(before[n], whole[n])]  # fmt: skip
    assert len(moved) > 10


def test_the_longest_text_is_one_that_the_model_reads(made: Made) -> None:
    limit = longest_text(open_config(made.folder))
    without = ("modernbert", "eurobert", "roformer", "deberta-v2", "xlm")
    if limit is None:
        assert made.name in without
        return
    # Positions of RoBERTa and its derivatives start after the padding id.
    is_heir = made.name in ("xlm-r", "roberta", "camembert", "longformer", "mpnet", "xlm-r-xl")
    assert limit == (66 - 2 if is_heir else 66)
    model, ids = theirs(made, "none"), torch.full((1, limit + 1), 7)
    with torch.no_grad():
        assert model(input_ids=ids[:, :limit])[0].isfinite().all()
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=ids)
