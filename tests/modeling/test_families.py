"""Encoders of many families, with random weights."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from families import FAMILIES, TEXTS, SmallModel
from safetensors.torch import load_file

from semantic_tokens.grouping.first_k import first_k_groups
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.json_files import read_json
from semantic_tokens.modeling.embedding import semantic_embedding
from semantic_tokens.modeling.encoders import (
    longest_text,
    read_embeddings,
    vocabulary_parameters,
)
from semantic_tokens.modeling.export import export
from semantic_tokens.modeling.loading import HEADS, ModelFiles, load_model, save_model
from semantic_tokens.modeling.masked_language_modelling import MaskedLanguageModel
from semantic_tokens.modeling.pooling import compute_scores_in_float32
from semantic_tokens.reuse import semantic_version
from semantic_tokens.tasks.pair_classification import load_classifier
from semantic_tokens.tasks.question_answering import QuestionAnswering, edge_logits
from semantic_tokens.tasks.task import model_inputs, outputs
from semantic_tokens.tokenization.examples import pack_corpus
from semantic_tokens.tokenization.vocabulary import (
    first_k_ids,
    truncate_tokenizer,
    unknown_id,
)
from semantic_tokens.training import TrainingOptions
from semantic_tokens.training.pretraining import Objective, PackedCorpora, pretrain

pytestmark = pytest.mark.usefixtures("modules_of_checkpoints")


def tensors_of(output: Any) -> list[torch.Tensor]:
    return [value for value in output.to_tuple() if torch.is_tensor(value)]


def transformers_model(
    small_model: SmallModel, head: str, folder: Path | None = None, **options: Any
) -> Any:
    """The model of transformers with a head. New weights are from seed 1."""
    torch.manual_seed(1)
    auto_class = HEADS[head]
    config = hf.AutoConfig.from_pretrained(small_model.folder)
    if head == "question_answering" and type(config) not in auto_class._model_mapping:
        auto_class, options = hf.AutoModelForTokenClassification, {"num_labels": 2}
    elif "classification" in head:
        options["num_labels"] = 3
    return auto_class.from_pretrained(folder or small_model.folder, **options).eval()


def semantic_token_model(head: str, files: ModelFiles | Path) -> hf.PreTrainedModel:
    return load_model(head, files, labels=3 if "classification" in head else None)


# Computations


@pytest.mark.parametrize("head", HEADS)
def test_singleton_groups_compute_the_same_as_the_original(
    small_model: SmallModel, tmp_path: Path, head: str
) -> None:
    model = semantic_token_model(head, small_model.files(tmp_path))
    mask = torch.ones_like(small_model.ids)
    mask[1, 9:] = 0
    with torch.no_grad():
        found = tensors_of(model(input_ids=small_model.ids, attention_mask=mask))
        expected = tensors_of(
            transformers_model(small_model, head)(input_ids=small_model.ids, attention_mask=mask)
        )
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        if head == "masked_language_modelling" and one is found[0]:
            other = other[..., : small_model.subwords]  # the padding rows belong to no subword
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def numbers_of(logits: torch.Tensor) -> list[float]:
    """Three logits, and the standard deviation of all."""
    some = logits[0, 0, 0], logits[1, 5, 7], logits[2, 15, -1], logits.std()
    return [round(float(number), 4) for number in some]


def test_logits_equal_the_recorded_numbers(small_model: SmallModel, tmp_path: Path) -> None:
    files = small_model.files(tmp_path, per_group=2, dimension=6)
    with torch.no_grad():
        logits = semantic_token_model("masked_language_modelling", files)(
            input_ids=small_model.ids
        ).logits
    assert numbers_of(logits) == pytest.approx(FAMILIES[small_model.name].numbers, abs=2e-4)


def test_missing_columns_are_zero(small_model: SmallModel, tmp_path: Path) -> None:
    """A reduced dimension is the original with the other columns set to zero."""
    files = small_model.files(tmp_path, dimension=5)
    original = transformers_model(small_model, "masked_language_modelling")
    original.get_input_embeddings().weight.data[:, 5:] = 0
    if original.get_output_embeddings().weight is not original.get_input_embeddings().weight:
        assert not original.config.tie_word_embeddings or small_model.name in (
            "rembert",
            "eurobert",
        )
    with torch.no_grad():
        found = semantic_token_model("masked_language_modelling", files)(
            input_ids=small_model.ids
        ).logits
        expected = original(input_ids=small_model.ids).logits[..., : small_model.subwords]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_logits_of_all_and_of_masked_positions_give_the_same_training(
    small_model: SmallModel, tmp_path: Path
) -> None:
    files = small_model.files(tmp_path, per_group=2, dimension=6)
    masked = torch.full_like(small_model.ids, -100)
    masked[:, 3], masked[0, 5:8] = small_model.ids[:, 3], small_model.ids[0, 5:8]
    found = []
    for logits in ("masked", "all"):
        model = MaskedLanguageModel(
            semantic_token_model("masked_language_modelling", files), logits
        )
        loss = model(small_model.ids, masked)
        loss.backward()
        gradients = {
            n: p.grad.to_dense() for n, p in model.named_parameters() if p.grad is not None
        }
        found.append((loss.detach(), gradients))
    assert len(found[0][1]) > 15
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


def test_first_k_computes_the_same_as_the_original_on_truncated_text(
    small_model: SmallModel, tmp_path: Path
) -> None:
    tokenizer, embeddings = (
        small_model.tokenizer,
        read_embeddings(small_model.folder, small_model.subwords),
    )
    k = (
        small_model.subwords - 12
        if small_model.tokenizer.backend_tokenizer.decoder
        else small_model.subwords // 2
    )
    kept = first_k_ids(tokenizer, k)
    first_k_groups(embeddings, kept, unknown_id(tokenizer)).save(tmp_path / "groups.safetensors")
    files = ModelFiles(small_model.folder, tmp_path / "groups.safetensors")
    ids = truncate_tokenizer(tokenizer, kept)(TEXTS, padding=True, return_tensors="pt").input_ids
    assert set(ids.flatten().tolist()) <= set(kept)
    assert len(semantic_embedding(load_model("none", files)).weight) == k
    with torch.no_grad():
        found, expected = (
            m(input_ids=ids)[0]
            for m in (semantic_token_model("none", files), transformers_model(small_model, "none"))
        )
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_token_types_are_given_to_models_that_use_them(
    small_model: SmallModel, tmp_path: Path
) -> None:
    """A tokenizer may return type 1 for the second text of a pair, even if the model has no
    types."""
    model = semantic_token_model("sequence_classification", small_model.files(tmp_path))
    ids = small_model.ids[:2].tolist()
    with torch.no_grad():
        batches = [model_inputs(ids, 0, [[0] * 8 + [kind] * 8] * 2) for kind in (0, 1)]
        plain, typed = (outputs(model, dict(batch)).logits for batch in batches)
    types = getattr(model.config, "type_vocab_size", 0) or 0
    uses_types = small_model.name in (
        "bert",
        "electra",
        "albert",
        "rembert",
        "convbert",
        "ernie",
        "roformer",
    )
    assert (not torch.equal(plain, typed)) == (types > 1) == uses_types


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_ranking_scores_are_computed_in_float32_in_every_family(
    small_model: SmallModel, tmp_path: Path, pooling: str
) -> None:
    """The last layer of the head computes in float32 under autocast, with unchanged scores."""
    model = load_classifier(small_model.files(tmp_path), 2, pooling, seed=1).eval()
    batch = model_inputs(small_model.ids.tolist(), 0)
    with torch.no_grad():
        before = outputs(model, dict(batch)).logits
        compute_scores_in_float32(model, 2)
        after = outputs(model, dict(batch)).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            halved = outputs(model, dict(batch)).logits
    assert before.shape == (3, 2)
    assert torch.equal(before, after)
    assert halved.dtype == torch.float32


def test_edges_of_answers_are_computed_in_float32_in_every_family(
    small_model: SmallModel, tmp_path: Path
) -> None:
    task = QuestionAnswering.__new__(QuestionAnswering)
    model = task.load_model(small_model.files(tmp_path), seed=1).eval()
    batch = model_inputs(small_model.ids.tolist(), 0)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = edge_logits(model, batch)
    assert logits.shape[:2] == (3, 2) and logits.dtype == torch.float32


# Files


def test_grouping_changes_only_the_vocabulary_tensors(
    small_model: SmallModel, tmp_path: Path
) -> None:
    result = semantic_version(small_model.folder, tmp_path / "grouped", ratio=0.5)
    before, after = (
        load_file(f / "model.safetensors") for f in (small_model.folder, result.folder)
    )
    assert list(before) == list(after)
    vocabulary_tensors = vocabulary_parameters(
        transformers_model(small_model, "masked_language_modelling")
    )
    token_to_group = Groups.load(result.folder / "semantic_tokens.safetensors").token_to_group
    assert result.groups == round(0.5 * result.subwords) == int(token_to_group.max()) + 1
    first = torch.tensor([token_to_group.tolist().index(g) for g in token_to_group.tolist()])
    for name, tensor in before.items():
        assert after[name].dtype == tensor.dtype
        if name not in vocabulary_tensors:
            assert torch.equal(after[name], tensor), name
            continue
        assert not torch.equal(after[name], tensor), name
        assert torch.equal(after[name][: small_model.subwords], after[name][first]), name
        assert torch.equal(after[name][small_model.subwords :], tensor[small_model.subwords :]), (
            name
        )
    with torch.no_grad():
        states = transformers_model(small_model, "none", result.folder)(input_ids=small_model.ids)[
            0
        ]
        files = ModelFiles(small_model.folder, result.folder / "semantic_tokens.safetensors")
        expected = semantic_token_model("none", files)(input_ids=small_model.ids)[0]
    torch.testing.assert_close(states, expected, atol=1e-6, rtol=1e-6)


@pytest.fixture
def trained(small_model: SmallModel, tmp_path: Path) -> tuple[hf.PreTrainedModel, Path]:
    """A model with few columns after a training step, and its folder."""
    files = small_model.files(tmp_path, per_group=2, dimension=6)
    model = semantic_token_model("masked_language_modelling", files)
    objective = MaskedLanguageModel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    objective(small_model.ids, small_model.ids).backward()
    optimizer.step()
    objective.decoder.returns_states = False
    save_model(model, files, small_model.folder, tmp_path / "saved", recipe="a recipe")
    return model.eval(), tmp_path / "saved"


def test_saved_model_opens_with_every_head(
    small_model: SmallModel, trained: tuple[hf.PreTrainedModel, Path]
) -> None:
    model, folder = trained
    with torch.no_grad():
        states = model.base_model(input_ids=small_model.ids)[0]
        for head in HEADS:
            opened = semantic_token_model(head, folder)
            assert torch.equal(opened.base_model(input_ids=small_model.ids)[0], states), head
            embedding = semantic_embedding(opened)
            assert embedding.weight.shape == semantic_embedding(model).weight.shape
        logits = semantic_token_model("masked_language_modelling", folder)(
            input_ids=small_model.ids
        ).logits
        assert torch.equal(logits, model(input_ids=small_model.ids).logits)
    kept = load_file(folder / "model.safetensors")
    sizes = {t.shape[0] for n, t in kept.items() if t.ndim and not n.endswith("token_to_group")}
    assert small_model.subwords + small_model.padding_rows not in sizes


def test_transformers_opens_a_saved_model_if_its_code_is_trusted(
    small_model: SmallModel, trained: tuple[hf.PreTrainedModel, Path]
) -> None:
    model, folder = trained
    with torch.no_grad():
        states = model.base_model(input_ids=small_model.ids)[0]
        for head, auto_class in HEADS.items():
            labels = {"num_labels": 3} if "classification" in head else {}
            found = auto_class.from_pretrained(folder, trust_remote_code=True, **labels)
            assert torch.equal(found.base_model(input_ids=small_model.ids)[0], states), head
            with pytest.raises(ValueError, match=r"trust_remote_code=True"):
                auto_class.from_pretrained(folder, trust_remote_code=False)
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == small_model.subwords
    assert tokenizer(TEXTS).input_ids == small_model.tokenizer(TEXTS).input_ids


def test_exported_model_opens_without_the_package(
    small_model: SmallModel, trained: tuple[hf.PreTrainedModel, Path], tmp_path: Path
) -> None:
    model, folder = trained
    export(ModelFiles(folder), folder, tmp_path / "plain")
    with torch.no_grad():
        encoder = hf.AutoModel.from_pretrained(tmp_path / "plain").eval()
        states = model.base_model(input_ids=small_model.ids)[0]
        torch.testing.assert_close(encoder(small_model.ids)[0], states, atol=1e-6, rtol=1e-6)
        plain, info = hf.AutoModelForMaskedLM.from_pretrained(
            tmp_path / "plain", output_loading_info=True
        )
        assert not info["missing_keys"] and not info["mismatched_keys"]
        groups = semantic_embedding(model).token_to_group
        expected = model(input_ids=small_model.ids).logits[..., groups]
        found = plain.eval()(input_ids=small_model.ids).logits
    assert found.shape[-1] == small_model.subwords + small_model.padding_rows
    torch.testing.assert_close(found[..., : small_model.subwords], expected, atol=1e-6, rtol=1e-6)
    is_tied = [
        m.get_output_embeddings().weight is m.get_input_embeddings().weight
        for m in (transformers_model(small_model, "masked_language_modelling"), plain)
    ]
    assert is_tied[0] == is_tied[1] == (small_model.name not in ("rembert", "eurobert"))
    tokenizer = hf.AutoTokenizer.from_pretrained(tmp_path / "plain")
    assert tokenizer(TEXTS).input_ids == small_model.tokenizer(TEXTS).input_ids


def test_resumed_pretraining_equals_an_uninterrupted_one(
    small_model: SmallModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passages = [{"language": "eng", "text": "a red tomato in the house. " * 40}]
    pack_corpus(
        passages, small_model.tokenizer, tmp_path / "corpus.safetensors", sequence_length=16
    )
    arguments = {
        "files": small_model.files(tmp_path, per_group=2),
        "corpora": [tmp_path / "corpus.safetensors"],
        "tokenizer": small_model.folder / "tokenizer.json",
        "options": TrainingOptions(
            learning_rate=0.01, batch_size=4, max_steps=4, dropout=0.1, checkpoint_every=2
        ),
        "objective": Objective(0.3, language_sampling_exponent=0.7, held_out_sequences=1, seed=3),
    }
    expected = pretrain(
        **arguments, target=tmp_path / "uninterrupted", held_out=tmp_path / "held-out.json"
    )
    assert 0 < read_json(tmp_path / "held-out.json")["by_language"]["eng"]["loss"] < 20
    batches = PackedCorpora.batches

    def interrupt(self: PackedCorpora, *parameters: Any) -> Any:
        yield from itertools.islice(batches(self, *parameters), 3)
        raise KeyboardInterrupt

    arguments["checkpoint"] = tmp_path / "checkpoint"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PackedCorpora, "batches", interrupt)
        pretrain(**arguments, target=tmp_path / "resumed")
    assert pretrain(**arguments, target=tmp_path / "resumed") == expected
    uninterrupted, resumed = (
        load_file(tmp_path / n / "model.safetensors") for n in ("uninterrupted", "resumed")
    )
    assert uninterrupted.keys() == resumed.keys()
    assert all(torch.equal(uninterrupted[name], resumed[name]) for name in uninterrupted)
    before = load_file(small_model.folder / "model.safetensors")
    moved = [n for n in before.keys() & uninterrupted.keys() if before[n].shape == uninterrupted[n].shape
             and not torch.equal(before[n], uninterrupted[n])]  # fmt: skip
    assert len(moved) > 10


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("nystromformer", {}),  # it has two rows more than it uses
        ("ibert", {"max_position_embeddings": 66}),  # its layers are not torch's
        ("roformer", {"embedding_size": 16}),
    ],
)
def test_longest_text_of_unusual_position_embeddings(
    name: str, options: dict[str, int], tmp_path: Path
) -> None:
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    options = {"max_position_embeddings": 64, "vocab_size": 50, **shape, **options}
    config = hf.AutoConfig.for_model(name, intermediate_size=32, **options)
    config.save_pretrained(tmp_path)
    assert longest_text(tmp_path) == 64
    model, ids = hf.AutoModel.from_config(config).eval(), torch.full((1, 65), 7)
    with torch.no_grad():
        assert model(input_ids=ids[:, :64])[0].isfinite().all()
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=ids)


def test_model_accepts_its_longest_text_and_no_longer_one(small_model: SmallModel) -> None:
    limit = longest_text(small_model.folder)
    unlimited = ("modernbert", "eurobert", "deberta-v2")
    if limit is None:
        assert small_model.name in unlimited
        return
    # Positions of RoBERTa and its derivatives start after the padding id.
    is_derived_from_roberta = small_model.name in (
        "xlm-r",
        "roberta",
        "camembert",
        "longformer",
        "mpnet",
        "xlm-r-xl",
    )
    assert limit == (66 - 2 if is_derived_from_roberta else 66)
    model, ids = transformers_model(small_model, "none"), torch.full((1, limit + 1), 7)
    with torch.no_grad():
        assert model(input_ids=ids[:, :limit])[0].isfinite().all()
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=ids)
