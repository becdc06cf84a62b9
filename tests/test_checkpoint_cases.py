"""Published checkpoints, and names of outputs: problems that users of similar tools had, for the
command ``group`` and for the workflow's backbones."""

import json
import logging
import os
import re
import runpy
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from tiny import (
    SPECIAL,
    byte_level_tokenizer,
    sentencepiece_tokenizer,
    with_bert_special_tokens,
)
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from semantic_tokens.cli import main
from semantic_tokens.errors import InputError
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.modeling.backbones import derive_backbone
from semantic_tokens.modeling.encoders import check_length
from semantic_tokens.modeling.loading import load_model
from semantic_tokens.reuse import GROUPS, Made, semantic_version
from semantic_tokens.tokenization.vocabulary import (
    first_k_ids,
    load_tokenizer,
    open_tokenizer,
    special_ids,
    truncate_tokenizer,
)

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
WORDS = "house haus maison casa tree baum arbre arbol red rot rouge rojo sun sonne soleil sol"


def wordpiece() -> hf.PreTrainedTokenizerFast:
    """BERT's tokenizer, with ``[unusedN]``."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[PAD]", "[unused1]", "[unused2]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [*letters, *(f"##{letter}" for letter in letters), *WORDS.split()]
    backend = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 4), ("[SEP]", 5)],
    )
    backend.add_special_tokens(SPECIAL)
    return with_bert_special_tokens(backend)


def bert(folder: Path, model_class: Any = hf.BertForMaskedLM, **change: Any) -> Path:
    torch.manual_seed(0)
    tokenizer = wordpiece()
    config = hf.BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **SMALL, **change)
    model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def roberta(folder: Path, model_class: Any, tokenizer: Any, **change: Any) -> Path:
    torch.manual_seed(0)
    config = model_class.config_class(
        vocab_size=len(tokenizer),
        max_position_embeddings=66,
        type_vocab_size=1,
        pad_token_id=1,
        **SMALL,
        **change,
    )
    model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return tmp_path / "theirs"


def grouped(model: Path, ratio: float = 0.5, **options: Any) -> tuple[Made, torch.Tensor]:
    """A semantic-token version next to the model, and its ``token_to_group``."""
    made = semantic_version(model, model.parent / "ours", ratio=ratio, **options)
    return made, Groups.load(made.folder / GROUPS).token_to_group


def backbone_of(model: Path, **spec: Any) -> Path:
    folder = model.parent / "backbone"
    derive_backbone({"source": "checkpoint", "path": str(model)} | spec, folder)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        if file.name != GROUPS:
            found |= load_file(file)
    return found


def assert_all_but_the_embeddings_are_equal(
    before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], *of_subwords: str
) -> None:
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert after[name].dtype == tensor.dtype and after[name].shape == tensor.shape
        changed = any(name.endswith(part) for part in of_subwords)
        assert torch.equal(after[name], tensor) != changed, name


# Row 1: a tokenizer.json without the type of its model


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe"])
def test_a_tokenizer_without_its_type_is_read(theirs: Path, kind: str) -> None:
    if kind == "wordpiece":
        bert(theirs)
    elif kind == "unigram":
        roberta(theirs, hf.XLMRobertaForMaskedLM, sentencepiece_tokenizer())
    else:
        roberta(theirs, hf.RobertaForMaskedLM, byte_level_tokenizer())
    expected = open_tokenizer(theirs)
    edit(theirs / "tokenizer.json", lambda data: data["model"].pop("type"))
    made, token_to_group = grouped(theirs)
    assert len(token_to_group) == made.subwords == len(expected)
    file = (made.folder / "tokenizer.json").read_bytes()
    assert file == (theirs / "tokenizer.json").read_bytes()
    backbone = backbone_of(theirs)
    for tokenizer in (open_tokenizer(made.folder), load_tokenizer(backbone)):
        assert tokenizer("red house, baum").input_ids == expected("red house, baum").input_ids
        assert special_ids(tokenizer, with_unused=True) == special_ids(expected, with_unused=True)
        kept = first_k_ids(tokenizer, len(expected) - 5)
        assert kept == first_k_ids(expected, len(expected) - 5)
        assert set(truncate_tokenizer(tokenizer, kept)("red house").input_ids) <= set(kept)


# Row 2: outputs


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory next to a model."""
    bert(tmp_path / "theirs")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def group(output: str, *more: str, model: str = "../theirs") -> int:
    return main(["group", "--model", model, "--output", output, "--ratio", "0.5", *more])


def made_at(folder: Path) -> bool:
    names = {"config.json", "model.safetensors", "tokenizer.json", GROUPS, "README.md"}
    return names <= {path.name for path in folder.iterdir()}


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("output", "lands_at"),
    [
        ("new", "here/new"),
        ("new/", "here/new"),
        ("not/there/yet", "here/not/there/yet"),
        ("../up", "up"),
        ("../here/../aside", "aside"),
        ("to-empty", "empty"),
        ("dangling", "to-come"),
        ("dangling-deep", "not/there/either"),
        ("../theirs/semantic", "theirs/semantic"),
        ("--begins-with-a-dash", "here/--begins-with-a-dash"),
        ("番茄 tomate", "here/番茄 tomate"),
    ],
)
def test_an_output_lands_where_it_says(
    place: Path, output: str, lands_at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    top = place.parent
    (top / "empty").mkdir()
    for link, target in (
        ("to-empty", "empty"), ("dangling", "to-come"), ("dangling-deep", "not/there/either")
    ):  # fmt: skip
        (place / link).symlink_to(top / target, target_is_directory=True)
    before = content(top / "theirs")
    arguments = ["group", "--model", "../theirs", f"--output={output}", "--ratio", "0.5"]
    for again in ([], ["--overwrite"]):
        assert main([*arguments, *again]) == 0, capsys.readouterr().err
        assert made_at(top / lands_at)
        assert hf.AutoModel.from_pretrained(top / lands_at).config.vocab_size == 75
    # Earlier files and links are unchanged, and no incomplete files remain.
    assert {link.name for link in place.iterdir() if link.is_symlink()} == {
        "to-empty", "dangling", "dangling-deep"
    }  # fmt: skip
    assert {p: c for p, c in content(top / "theirs").items() if p in before} == before
    assert not [path for path in top.rglob(".*") if not path.name.startswith(".cache")]
    assert not (top / lands_at / "semantic").exists()  # the old result is not part of the new one


def one_error(told: str) -> str:
    assert "Traceback" not in told
    (line,) = [line for line in told.splitlines() if line.startswith("Error: ")]
    assert len(line) < 600
    return line


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", "is the folder that you are in"),
        ("..", "is the folder that you are in, or one above it"),
        ("./", "is the folder that you are in"),
        ("../here", "is the folder that you are in"),
        ("../theirs", "is not a semantic-token model and is not replaced"),
        ("file", "file is a file; name a folder"),
        ("file/below", "file is a file; name a folder"),
        ("file/further/below", "file is a file; name a folder"),
        ("to-file", "file is a file; name a folder"),
        ("loop", "name another folder"),
        ("loop/below", "name another folder"),
        ("x" * 300, "name another folder"),
        ("/proc/semantic", "cannot be written in /proc"),
        ("/proc/semantic/tokens", "cannot be written in /proc"),
        ("/proc", "is a mount point"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_an_impossible_output_is_reported_before_the_work(
    place: Path,
    output: str,
    message: str,
    more: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if output.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs Linux's /proc")
    (place / "file").write_text("years of work")
    (place / "to-file").symlink_to(place / "file")
    (place / "loop").symlink_to(place / "loop")
    before = content(place.parent)

    def no_work(*_: Any, **__: Any) -> None:
        raise AssertionError("it began to work")

    monkeypatch.setattr("semantic_tokens.reuse.kmeans_groups", no_work)
    assert group(output, *more) == 1
    assert message in one_error(capsys.readouterr().err)
    assert content(place.parent) == before


def test_a_folder_without_permission_is_reported_before_the_work(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test replaces the system's answer, since root may write everywhere."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    assert group("new") == 1
    error = one_error(capsys.readouterr().err)
    assert f"cannot be written in {place} (Permission denied)" in error


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
def test_a_folder_that_is_locked_is_reported(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    locked = place / "locked"
    locked.mkdir(mode=0o500)
    assert group("locked/new") == 1
    assert "cannot be written" in one_error(capsys.readouterr().err)


def test_an_old_model_is_replaced_only_by_a_complete_new_one(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group("model") == 0
    before = content(place / "model")
    assert group("model") == 1
    assert "exists; name another folder, or pass --overwrite" in one_error(capsys.readouterr().err)
    assert group("model", "--overwrite", "--ratio", "0.01") == 1

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr("semantic_tokens.reuse.write_card", full)
        group("model", "--overwrite")
    assert content(place / "model") == before
    assert [path.name for path in place.iterdir()] == ["model"]
    # from inside it, too
    monkeypatch.chdir(place / "model")
    assert group(".", "--overwrite", model="../../theirs") == 1
    assert group("../model", "--overwrite", model="../../theirs") == 1
    assert content(place / "model") == before


def test_a_folder_that_holds_the_model_is_not_replaced(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group("model") == 0
    shutil.copytree(place.parent / "theirs", place / "model/inner")
    before = content(place)
    for model in ("model", "model/inner"):
        assert group("model", "--overwrite", model=model) == 1
        assert "contains the model itself" in one_error(capsys.readouterr().err)
    assert content(place) == before


def test_a_model_that_is_a_file_is_reported(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group("new", model="../theirs/config.json") == 1
    assert "config.json is a file; name the folder" in one_error(capsys.readouterr().err)


def test_a_model_made_of_links_is_copied(place: Path) -> None:
    """With the layout of the hub's cache."""
    (place / "snapshot").mkdir()
    for number, file in enumerate((place.parent / "theirs").iterdir()):
        (place / f"blob-{number}").write_bytes(file.read_bytes())
        (place / "snapshot" / file.name).symlink_to(place / f"blob-{number}")
    assert group("new", model="snapshot") == 0
    assert group("plain") == 0
    assert not [path for path in (place / "new").rglob("*") if path.is_symlink()]
    names = ("model.safetensors", "tokenizer.json", "config.json")
    new, plain = content(place / "new"), content(place / "plain")
    assert {n: new[n] for n in names} == {n: plain[n] for n in names}


# Row 3: a decoder that is not tied


def test_an_untied_decoder_is_kept_by_the_same_groups(theirs: Path) -> None:
    bert(theirs, tie_word_embeddings=False)
    before = weights(theirs)
    decoder = "cls.predictions.decoder.weight"
    assert decoder in before
    made, token_to_group = grouped(theirs)
    after = weights(made.folder)
    for group_number in range(made.groups):
        members = token_to_group == group_number
        expected = before[decoder][members].mean(dim=0)
        assert len(after[decoder][members].unique(dim=0)) == 1
        torch.testing.assert_close(after[decoder][members][0], expected)
    ids = torch.randint(7, 60, (2, 9))
    model = hf.AutoModelForMaskedLM.from_pretrained(made.folder).eval()
    assert model.get_output_embeddings().weight is not model.get_input_embeddings().weight
    backbone = backbone_of(theirs)
    assert {n: t.tolist() for n, t in weights(backbone).items()} == {
        n: t.tolist() for n, t in before.items()
    }
    with torch.no_grad():
        original = hf.AutoModelForMaskedLM.from_pretrained(theirs).eval()(ids).logits
        ours = load_model("masked_language_modelling", backbone)(input_ids=ids).logits
    torch.testing.assert_close(ours, original)


# Row 4: a head that was fine-tuned


@pytest.mark.parametrize("family", ["bert", "xlm-r"])
def test_a_fine_tuned_head_keeps_its_names_and_bytes(theirs: Path, family: str) -> None:
    if family == "bert":
        labels = {0: "O", 1: "B-PER", 2: "I-PER"}
        bert(theirs, hf.BertForTokenClassification, id2label=labels)
    else:
        roberta(theirs, hf.XLMRobertaForSequenceClassification, sentencepiece_tokenizer(), num_labels=3)  # fmt: skip
    before = weights(theirs)
    made, _ = grouped(theirs)
    assert_all_but_the_embeddings_are_equal(before, weights(made.folder), "word_embeddings.weight")
    config = json.loads((made.folder / "config.json").read_text())
    assert config == json.loads((theirs / "config.json").read_text())
    auto_class = (
        hf.AutoModelForTokenClassification
        if family == "bert"
        else hf.AutoModelForSequenceClassification
    )
    _, info = auto_class.from_pretrained(made.folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    backbone = weights(backbone_of(theirs))
    assert backbone.keys() == before.keys()
    assert all(torch.equal(backbone[name], before[name]) for name in before)


# Row 5: special tokens that only tokenizer_config.json names


def test_special_tokens_that_are_not_among_the_added_are_singletons(theirs: Path) -> None:
    bert(theirs)
    edit(theirs / "tokenizer.json", lambda data: data.update(added_tokens=[]))
    made, token_to_group = grouped(theirs, ratio=0.2)
    alone = [0, 3, 4, 5, 6]
    for token in [*alone, 1, 2]:  # [unusedN] too
        assert (token_to_group == token_to_group[token]).sum() == 1
    clustered = Groups.load(grouped(theirs, ratio=0.2, overwrite=True, cluster_unused=True)[0].folder / GROUPS)  # fmt: skip
    assert special_ids(load_tokenizer(backbone_of(theirs))) == alone
    assert len(clustered.weight) == made.groups


# Row 9: lengths


@pytest.mark.parametrize(("family", "limit"), [("bert", 64), ("roberta", 64), ("xlm-r", 64)])
def test_a_length_beyond_the_positions_is_refused(theirs: Path, family: str, limit: int) -> None:
    """RoBERTa's positions start after its padding's, so 64 of 66 are usable."""
    if family == "bert":
        bert(theirs)
    else:
        tokenizer = byte_level_tokenizer() if family == "roberta" else sentencepiece_tokenizer()
        model_class = hf.RobertaForMaskedLM if family == "roberta" else hf.XLMRobertaForMaskedLM
        roberta(theirs, model_class, tokenizer)
    backbone = backbone_of(theirs)
    model = load_model("none", backbone)
    check_length(backbone, limit, "datasets.own.tokenization")
    assert model(input_ids=torch.full((1, limit), 9))[0].shape == (1, limit, 16)
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, limit + 1), 9))
    message = rf"config key pretraining\.sequence_length is {limit + 1}, and {backbone} reads at most {limit} tokens; lower it"  # fmt: skip
    with pytest.raises(InputError, match=message):
        check_length(backbone, limit + 1, "pretraining.sequence_length")


class Given(dict):
    """A named list like Snakemake's, with entries by name and as attributes."""

    __getattr__ = dict.__getitem__


@pytest.mark.parametrize(
    ("script", "params", "message"),
    [
        (
            "tokenize_dataset",
            {"kind": "pair_classification", "options": {"max_length": 65}},
            r"config key datasets\.own\.tokenization is 65, and .*/backbone reads at most 64 tokens",
        ),
        (
            "tokenize_dataset",  # with the two special tokens around a passage
            {"kind": "ranking", "options": {"max_query_length": 8, "max_passage_length": 63}},
            r"config key datasets\.own\.tokenization is 65, and .*/backbone reads at most 64 tokens",
        ),
        (
            "tokenize_corpus",
            {"sequence_length": 65},
            r"config key pretraining\.sequence_length is 65, and .* reads at most 64 tokens",
        ),
    ],
)
def test_a_job_refuses_a_length_before_it_reads_its_data(
    theirs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    params: dict[str, Any],
    message: str,
) -> None:
    backbone = backbone_of(roberta(theirs, hf.RobertaForMaskedLM, byte_level_tokenizer()))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(logging.getLogger(), "handlers", list(logging.getLogger().handlers))
    snakemake = SimpleNamespace(
        rule=script,
        threads=1,
        log=[str(tmp_path / "job.log")],
        resources={},
        wildcards=Given(dataset="own"),
        params=Given(params),
        input=Given(
            model=str(backbone / "config.json"),
            tokenizer=str(backbone / "tokenizer.json"),
            splits=[str(tmp_path / "missing.jsonl")],
            corpus=str(tmp_path / "missing.jsonl"),
        ),
        output=[str(tmp_path / "made")],
    )
    path = Path(__file__).parents[1] / f"workflow/scripts/{script}.py"
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), {"snakemake": snakemake})
    assert ended.value.code == 1
    (line,) = (tmp_path / "job.log").read_text(encoding="utf-8").splitlines()
    assert re.search(rf"{script}: {message}", line)
    assert not (tmp_path / "made").exists()


# Row 10: the first BERTs' configuration


def test_the_first_config_of_bert_has_its_family_s_defaults(theirs: Path) -> None:
    bert(theirs)
    ids = torch.randint(7, 60, (2, 9))
    with torch.no_grad():
        expected = hf.AutoModel.from_pretrained(theirs).eval()(ids)[0]
    kept = {
        "attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size",
        "initializer_range", "intermediate_size", "max_position_embeddings", "num_attention_heads",
        "num_hidden_layers", "type_vocab_size", "vocab_size", "model_type",
    }  # fmt: skip
    edit(theirs / "config.json", lambda data: [data.pop(key) for key in {*data} - kept])
    made, _ = grouped(theirs, ratio=1.0)
    backbone = backbone_of(theirs)
    with torch.no_grad():
        for model in (
            hf.AutoModel.from_pretrained(made.folder).eval(),
            load_model("none", backbone),
        ):
            torch.testing.assert_close(model(input_ids=ids)[0], expected)
    tagger = load_model("token_classification", backbone, labels=3, dropout=0.1)
    assert tagger(input_ids=ids).logits.isfinite().all()


# Row 13: byte-level BPE


def test_a_lexicon_finds_words_as_they_begin_in_text(theirs: Path, tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer()
    roberta(theirs, hf.RobertaForMaskedLM, tokenizer)
    lexicon = tmp_path / "lexicon.tsv"
    rows = [
        "concept\tlanguage\tword\tsource",
        "1\teng\thouse\tme",
        "1\tdeu\thaus\tme",
        "2\teng\ttree\tme",
        "2\tdeu\tbaum\tme",
    ]
    lexicon.write_text("\n".join(rows) + "\n", encoding="utf-8")
    made, token_to_group = grouped(theirs, method="lexicon", lexicons=[lexicon])
    ids = tokenizer.get_vocab()
    pairs = [("Ġhouse", "Ġhaus"), ("Ġtree", "Ġbaum")]
    assert made.groups == made.subwords - 2
    for first, second in pairs:
        assert token_to_group[ids[first]] == token_to_group[ids[second]]
    members = (made.folder / "semantic_tokens.tsv").read_text(encoding="utf-8")
    assert '"▁haus"' in members and '"▁house"' in members


# Other files in a checkpoint's folder


def test_every_file_of_the_tokenizer_and_of_other_modules_is_copied(theirs: Path) -> None:
    bert(theirs, hf.BertModel)
    others = {
        "special_tokens_map.json": b"{}",
        "vocab.txt": b"[PAD]\n",
        "merges.txt": b"#version: 0.2\n",
        "vocab.json": b"{}",
        "sentencepiece.bpe.model": b"\x00\x01",
        "spiece.model": b"\x02",
        "added_tokens.json": b"{}",
        "generation_config.json": b"{}",
        "LICENSE": b"MIT",
        "modules.json": b"[]",
        "sentence_bert_config.json": b"{}",
        "config_sentence_transformers.json": b"{}",
        "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
        "2_Dense/config.json": b"{}",
        "2_Dense/pytorch_model.bin": b"weights of another module",
        "2_Dense/model.safetensors": b"weights of another module",
    }
    of_the_original = {
        "README.md": b"the original's",
        "tf_model.h5": b"its weights",
        "flax_model.msgpack": b"its weights",
        "onnx/model.onnx": b"its weights",
        "pytorch_model.bin": b"its weights",
        ".gitattributes": b"its repository's",
        ".git/config": b"its repository's",
    }
    expected = {name: (theirs / name).read_bytes() for name in os.listdir(theirs)}
    for name, data in (others | of_the_original).items():
        (theirs / name).parent.mkdir(exist_ok=True)
        (theirs / name).write_bytes(data)
    # a damaged copy of the tokenizer's files would not open
    for name in ("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json"):
        assert (theirs / name).is_file()
    made, _ = grouped(theirs)
    found = content(made.folder)
    for name, data in others.items():
        assert found.pop(name) == data, name
    assert b"semantic tokens" in found.pop("README.md")
    own = {"semantic_tokens.safetensors", "semantic_tokens.tsv", "semantic_tokens.json"}
    assert set(found) == {*expected, *own}
    for name in {*expected} - {"model.safetensors"}:
        assert found[name] == expected[name]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_half(theirs: Path, dtype: torch.dtype) -> None:
    bert(theirs)
    model = hf.AutoModelForMaskedLM.from_pretrained(theirs).to(dtype)
    model.save_pretrained(theirs)
    before = weights(theirs)
    assert {tensor.dtype for tensor in before.values()} == {dtype}
    made, token_to_group = grouped(theirs)
    assert_all_but_the_embeddings_are_equal(before, weights(made.folder), "word_embeddings.weight")
    name = "bert.embeddings.word_embeddings.weight"
    members = token_to_group == token_to_group.bincount().argmax()
    assert members.sum() > 1
    mean = before[name][members].double().mean(dim=0)
    torch.testing.assert_close(
        weights(made.folder)[name][members][0].double(), mean, atol=1e-3, rtol=1e-2
    )
    loaded = hf.AutoModelForMaskedLM.from_pretrained(made.folder)
    assert loaded.dtype == dtype
    backbone = weights(backbone_of(theirs))
    assert all(
        torch.equal(backbone[n], t) and backbone[n].dtype == dtype for n, t in before.items()
    )
    assert load_model("none", theirs.parent / "backbone").dtype == torch.float32


def test_shards_stay_shards(theirs: Path) -> None:
    bert(theirs)
    model = hf.AutoModelForMaskedLM.from_pretrained(theirs)
    (theirs / "model.safetensors").unlink()
    model.save_pretrained(theirs, max_shard_size="10KB")
    index = "model.safetensors.index.json"
    shards = sorted(path.name for path in theirs.glob("model-*.safetensors"))
    assert len(shards) > 2
    before = weights(theirs)
    made, _ = grouped(theirs)
    assert (made.folder / index).read_bytes() == (theirs / index).read_bytes()
    assert sorted(p.name for p in made.folder.glob("model-*.safetensors")) == shards
    assert_all_but_the_embeddings_are_equal(before, weights(made.folder), "word_embeddings.weight")
    for name in shards:
        assert load_file(made.folder / name).keys() == load_file(theirs / name).keys()
    _, info = hf.AutoModelForMaskedLM.from_pretrained(made.folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    backbone = weights(backbone_of(theirs))
    assert all(torch.equal(backbone[name], before[name]) for name in before)
    (theirs / shards[1]).unlink()
    shutil.rmtree(made.folder)
    for use in (grouped, backbone_of):
        with pytest.raises(InputError, match=f"{index} names {shards[1]}, which does not exist"):
            use(theirs)


def test_pickled_weights_are_read_on_request(theirs: Path) -> None:
    """Also if they contain the tied decoder a second time."""
    bert(theirs)
    before = weights(theirs)
    name = "bert.embeddings.word_embeddings.weight"
    pickled = before | {"cls.predictions.decoder.weight": before[name]}
    torch.save(pickled, theirs / "pytorch_model.bin")
    (theirs / "model.safetensors").unlink()
    made, _ = grouped(theirs, convert_pickle=True)
    after = weights(made.folder)
    assert torch.equal(after["cls.predictions.decoder.weight"], after[name])
    assert_all_but_the_embeddings_are_equal(
        pickled, after, "word_embeddings.weight", "decoder.weight"
    )
    model = hf.AutoModelForMaskedLM.from_pretrained(made.folder)
    assert torch.equal(model.get_output_embeddings().weight, after[name])


def test_many_equal_rows_are_grouped(theirs: Path) -> None:
    """For example, rows of tokens that did not occur in training."""
    bert(theirs)
    tensors = weights(theirs)
    name = "bert.embeddings.word_embeddings.weight"
    tensors[name][20:] = tensors[name][20].clone()
    save_file(tensors, theirs / "model.safetensors", metadata={"format": "pt"})
    made, token_to_group = grouped(theirs)
    assert made.groups == len(token_to_group.unique()) == round(0.5 * made.subwords)
