"""The model card of an exported model."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from huggingface_hub import ModelCard
from tiny import character_tokenizer

from semantic_tokens.grouping.first_k import first_k_groups
from semantic_tokens.grouping.groups import groups_of
from semantic_tokens.modeling.backbones import derive_backbone
from semantic_tokens.modeling.encoders import read_embeddings
from semantic_tokens.modeling.export import export_with_card
from semantic_tokens.modeling.loading import ModelFiles, load_model, save_model
from semantic_tokens.tokenization.vocabulary import first_k_ids, truncate_tokenizer, unknown_id

V = len(character_tokenizer())
PADDING = 7
REVISION = "0123456789" * 4


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint with padding rows in its embedding."""
    folder = tmp_path / "checkpoint"
    config = hf.BertConfig(
        vocab_size=V + PADDING,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=40,
    )
    hf.BertForMaskedLM(config).save_pretrained(folder)
    character_tokenizer().save_pretrained(folder)
    return folder


def backbone_of(checkpoint: Path, **spec: Any) -> Path:
    folder = checkpoint.parent / "results/backbones/mine"
    derive_backbone({"source": "checkpoint"} | spec, folder, checkpoint=checkpoint)
    return folder


def card_of(files: ModelFiles, tokenizer: Path, **recipe: Any) -> ModelCard:
    folder = files.folder.parent / "exported"
    export_with_card(files, tokenizer, folder, recipe=recipe, name="exported")
    return ModelCard.load(folder / "README.md")


@pytest.mark.parametrize(
    ("source", "base_model"),
    [("somebody/encoder", "somebody/encoder"), ("https://example.org/encoder.zip", None)],
)
def test_card_names_the_source_of_a_download(
    checkpoint: Path, source: str, base_model: str | None
) -> None:
    provenance = {"from": source, "revision": REVISION}
    (checkpoint / ".provenance.json").write_text(json.dumps(provenance), encoding="utf-8")
    backbone = backbone_of(checkpoint, download="encoder", layers=1)
    card = card_of(ModelFiles(backbone), backbone)
    assert card.data.base_model == base_model
    assert f"`{source} (1 layers)` at revision `{REVISION}` over **semantic tokens**" in card.text


def test_card_of_an_ungrouped_model_does_not_count_padding(checkpoint: Path) -> None:
    backbone = backbone_of(checkpoint, path=str(checkpoint))
    card = card_of(ModelFiles(backbone), backbone)
    assert card.data.base_model is None
    assert f"`mine` over **semantic tokens**: its {V} subwords share {V} embeddings" in card.text
    assert "The tokenizer is the original one." in card.text


def test_card_of_a_pretrained_model_names_the_backbone_of_its_recipe(
    checkpoint: Path, tmp_path: Path
) -> None:
    backbone = backbone_of(checkpoint, path=str(checkpoint))
    labels = torch.arange(V)
    labels[-2:] = 80
    groups_of(read_embeddings(backbone, V), labels).save(tmp_path / "groups.safetensors")
    files, saved = ModelFiles(backbone, tmp_path / "groups.safetensors"), tmp_path / "saved/mlm"
    model = load_model("masked_language_modelling", files)
    save_model(model, files, backbone, saved, recipe="mine/unaligned/dfull/kmeans-cosine-0.9/mlm")
    card = card_of(ModelFiles(saved), saved)
    groups = len(labels.unique())
    assert f"`mine` over **semantic tokens**: its {V} subwords share {groups} embed" in card.text
    assert "The tokenizer is the original one." in card.text


def test_card_of_first_k_says_that_the_tokenizer_is_truncated(
    checkpoint: Path, tmp_path: Path
) -> None:
    backbone, tokenizer = backbone_of(checkpoint), character_tokenizer()
    kept = first_k_ids(tokenizer, 60)
    truncate_tokenizer(tokenizer, kept).save_pretrained(tmp_path / "truncated")
    groups = first_k_groups(read_embeddings(backbone, V), kept, unknown_id(tokenizer))
    groups.save(tmp_path / "groups.safetensors")
    files = ModelFiles(backbone, tmp_path / "groups.safetensors")
    card = card_of(files, tmp_path / "truncated", backbone="mine", grouping="firstk-0.67")
    assert f"its {V} subwords share 60 embeddings" in card.text
    assert "The tokenizer has only the first subwords" in card.text
    assert "original one" not in card.text
