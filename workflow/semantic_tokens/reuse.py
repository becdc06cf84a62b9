"""A semantic-token version of anyone's encoder, as a Hugging Face checkpoint: no workflow needed
(docs/reuse.md).

The rows of the word embeddings are exchanged for those of their semantic tokens (paper, section
2.1), and nothing else: ``AutoModel.from_pretrained`` opens the result, with the original tokenizer.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from semantic_tokens.alignment import TranslationPairs
from semantic_tokens.errors import InputError
from semantic_tokens.files import read_json, whole, write_json
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.grouping.kmeans import Metric, kmeans_groups

log = logging.getLogger(__name__)

#: Written beside the model: ``token_to_group`` [V] and ``weight`` [V', d]; the members of every
#: group, to look at; and how it was made.
GROUPS = "semantic_tokens.safetensors"
MEMBERS = "semantic_tokens.tsv"
ORIGIN = "semantic_tokens.json"
_WANTED = ["config.json", "model.safetensors", "tokenizer*", "special_tokens_map.json", "vocab.txt",
           "sentencepiece.bpe.model", "added_tokens.json"]  # fmt: skip
_PICKLE = "pytorch_model.bin"
_HEADS = {"bert": "BertForMaskedLM", "roberta": "RobertaForMaskedLM",
          "xlm-roberta": "XLMRobertaForMaskedLM"}  # fmt: skip

Method = Literal["kmeans", "lexicon"]


@dataclass(frozen=True)
class Made:
    """What became of a model.

    Attributes:
        folder: the checkpoint.
        subwords: |V|.
        groups: |V'|.
    """

    folder: Path
    subwords: int
    groups: int


def semantic_version(
    model: str | Path,
    output: str | Path,
    *,
    ratio: float = 0.05,
    method: Method = "kmeans",
    metric: Metric = "cosine",
    lexicons: Sequence[str | Path] = (),
    dimension: int | None = None,
    seed: int = 1,
    max_iterations: int = 100,
    keep_unused_alone: bool = True,
    convert_pickle: bool = False,
    revision: str | None = None,
    overwrite: bool = False,
) -> Made:
    """Group the subwords of an encoder of the BERT or XLM-R family and write it as a checkpoint.

    Args:
        model: a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``, or a
            name on the Hugging Face hub.
        output: the folder to make.
        ratio: r_G = |V'| / |V|, of ``kmeans``; a lexicon's follows from what it connects.
        method: ``kmeans``, or ``lexicon``: what the lexicons connect (Appendix F).
        metric: of ``kmeans``: ``cosine``, or ``euclidean`` (Appendix E).
        lexicons: tables of concept, language, word and source. With ``kmeans`` the embeddings are
            first aligned with them (CLSA, section 2.2).
        dimension: keep so many of the word embeddings' columns, the others being zero (2.3).
        seed: decides where K-Means starts, and the order of the alignment.
        max_iterations: K-Means' passes over the vocabulary.
        keep_unused_alone: leave WordPiece's ``[unusedN]`` outside the clustering.
        convert_pickle: accept a model that has pickled weights alone; only its tensors are read.
        revision: a commit of a model on the hub; None is the newest.
        overwrite: replace an ``output`` that is there.

    Raises:
        InputError: what is wrong with the model, the lexicons or an option.
    """
    from semantic_tokens.backbones import derive_backbone
    from semantic_tokens.embeddings import read_word_embeddings
    from semantic_tokens.model import assemble, export
    from semantic_tokens.vocabulary import special_ids

    target = Path(output)
    _check(target, ratio, method, lexicons, overwrite)
    source = _found(model, revision, convert_pickle)
    if target.resolve() == source.resolve():
        raise InputError(f"{target} is the model itself; name another folder for the output")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
        backbone, made = Path(temporary, "backbone"), Path(temporary, "made")
        spec = {"source": "checkpoint", "path": str(source), "convert_pickle": convert_pickle}
        derive_backbone(spec, backbone)
        tokenizer = backbone / "tokenizer.json"
        embeddings = read_word_embeddings(backbone / "model.safetensors")
        if dimension is not None and not 1 <= dimension <= embeddings.shape[1]:
            raise InputError(
                f"dimension {dimension} is outside 1..{embeddings.shape[1]}, what {model} has"
            )
        text = tokenizer.read_text(encoding="utf-8")
        alone = special_ids(text, with_unused=keep_unused_alone)
        if method == "lexicon":
            groups = _by_lexicon(embeddings[:, :dimension], tokenizer, lexicons, special_ids(text))
        else:
            if lexicons:
                embeddings = _aligned(embeddings, tokenizer, lexicons, seed)
            count = round(ratio * len(embeddings))
            if not len(alone) < count:
                raise InputError(
                    f"a ratio of {ratio:g} makes {count} groups of {len(embeddings)} subwords, of "
                    f"which {len(alone)} are kept alone; take a larger ratio"
                )
            groups = kmeans_groups(
                embeddings[:, :dimension].contiguous(),
                metric=metric,
                ratio=ratio,
                alone=alone,
                seed=seed,
                max_iterations=max_iterations,
            )
        log.info("%d subwords in %d groups", len(groups.token_to_group), len(groups.weight))
        assemble(backbone, groups.token_to_group, groups.weight, Path(temporary, "assembled"))
        export(Path(temporary, "assembled"), backbone, made)
        _dress(made, source)
        groups.save(made / GROUPS)
        _write_members(groups, tokenizer, made / MEMBERS)
        write_json(
            {
                "model": str(model),
                "revision": revision,
                "method": method,
                "metric": metric if method == "kmeans" else None,
                "ratio": groups.ratio,
                "dimension": dimension,
                "lexicons": [str(path) for path in lexicons],
                "seed": seed,
                "max_iterations": max_iterations,
                "keep_unused_alone": keep_unused_alone,
            },
            made / ORIGIN,
        )
        if target.exists():
            shutil.rmtree(target)
        made.rename(target)
    return Made(target, len(groups.token_to_group), len(groups.weight))


def _check(
    target: Path, ratio: float, method: str, lexicons: Sequence[str | Path], overwrite: bool
) -> None:
    if not 0 < ratio <= 1:
        raise InputError(f"the ratio is {ratio:g} and must lie above 0 and at most at 1")
    if method == "lexicon" and not lexicons:
        raise InputError("to group by lexicons, name one at least")
    for path in lexicons:
        if not Path(path).is_file():
            raise InputError(f"there is no lexicon {path}; it is a table, of tab-separated columns")
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; name a folder for the output")
    if target.exists() and any(target.iterdir()) and not overwrite:
        raise InputError(f"{target} is there already; name another folder, or overwrite it")
    is_ours = (target / ORIGIN).is_file()
    if target.exists() and any(target.iterdir()) and not is_ours:
        raise InputError(f"{target} is no semantic-token model, and is not overwritten; empty it")


def _found(model: str | Path, revision: str | None, convert_pickle: bool) -> Path:
    """The folder of a model: this one, or what the hub has under the name."""
    folder = Path(model)
    if not folder.is_dir():
        name = str(model)
        if folder.is_absolute() or name.startswith(".") or name.count("/") > 1:
            raise InputError(f"there is no folder {model}; name one, or a model on the hub")
        folder = _from_hub(name, revision, convert_pickle)
    if not (folder / "tokenizer.json").is_file():
        raise InputError(
            f"{model} has no tokenizer.json, the form of a fast tokenizer; make one with "
            "AutoTokenizer.from_pretrained(…).save_pretrained(…)"
        )
    if not (folder / "model.safetensors").is_file() and not convert_pickle:
        raise InputError(
            f"{model} has no model.safetensors in one file; save it so with save_pretrained, or, "
            f"where it has a {_PICKLE} alone, ask for its conversion (--convert-pickle)"
        )
    return folder


def _from_hub(name: str, revision: str | None, convert_pickle: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = [*_WANTED, _PICKLE] if convert_pickle else _WANTED
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"there is no folder {name}, and the hub does not give a model of that name "
            f"({type(error).__name__}: {reason}); mend the name, or fetch the model by hand"
        ) from error


def _aligned(
    embeddings: torch.Tensor, tokenizer: Path, lexicons: Sequence[str | Path], seed: int
) -> torch.Tensor:
    from semantic_tokens.alignment import align

    aligned, training = align(embeddings, _pairs(tokenizer, lexicons), seed=seed)
    log.info("aligned %d pairs of %d subwords", training.pairs, training.subwords)
    return aligned


def _by_lexicon(
    embeddings: torch.Tensor, tokenizer: Path, lexicons: Sequence[str | Path], alone: list[int]
) -> Groups:
    from semantic_tokens.grouping.lexicon_components import lexicon_groups

    return lexicon_groups(
        embeddings.contiguous(), _pairs(tokenizer, lexicons).token_ids, alone=alone
    )


def _pairs(tokenizer: Path, lexicons: Sequence[str | Path]) -> TranslationPairs:
    from semantic_tokens.alignment import single_subword_id, single_subword_pairs
    from semantic_tokens.lexicons.published import table
    from semantic_tokens.tokenization import load_tokenizer

    opened = load_tokenizer(tokenizer)
    entries = [entry for path in lexicons for entry in table(Path(path))]
    pairs = single_subword_pairs(entries, lambda word: single_subword_id(opened, word))
    if not len(pairs):
        raise InputError(
            f"{', '.join(map(str, lexicons))}: no two words of a concept are single subwords of "
            "this model, in two languages; name other lexicons"
        )
    return pairs


def _dress(made: Path, source: Path) -> None:
    """Give the checkpoint its own config, and the original tokenizer's files byte for byte."""
    config = read_json(made / "config.json")
    original = read_json(source / "config.json")
    config["architectures"] = original.get("architectures") or [_HEADS[config["model_type"]]]
    config["derived_from"] = original.get("_name_or_path") or source.name
    write_json(config, made / "config.json")
    tokenizer_files = (pattern for pattern in _WANTED if pattern not in ("config.json",))
    for pattern in tokenizer_files:
        for path in sorted(source.glob(pattern)):
            if path.name != "model.safetensors" and path.is_file():
                shutil.copyfile(path, made / path.name)


def _write_members(groups: Groups, tokenizer: Path, path: Path) -> None:
    """One line a group of two subwords or more: its number, their count, and their JSON strings."""
    from semantic_tokens.tokenization import load_tokenizer

    opened = load_tokenizer(tokenizer)
    members: dict[int, list[str]] = {}
    for token, group in enumerate(groups.token_to_group.tolist()):
        members.setdefault(group, []).append(opened.id_to_token(token) or "")
    with whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write("group\tsubwords\tmembers\n")
        for group, subwords in members.items():
            if len(subwords) > 1:
                words = " ".join(json.dumps(word, ensure_ascii=False) for word in subwords)
                file.write(f"{group}\t{len(subwords)}\t{words}\n")
