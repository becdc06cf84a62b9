"""Makes a semantic-token version of any encoder, as a checkpoint, without the workflow
(docs/reuse.md).

Only the rows of the word embeddings change: they become the embeddings of their semantic tokens
(paper, section 2.1). ``AutoModel.from_pretrained`` opens the result with the original tokenizer.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from transformers import PreTrainedTokenizerFast

from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.data.lexicons.published import table
from semantic_tokens.embeddings.alignment import (
    TranslationPairs,
    align,
    connected_translations,
    single_subword_pairs,
)
from semantic_tokens.errors import InputError, one_line
from semantic_tokens.files import (
    atomic_file,
    atomic_folder,
    check_writable,
    full_disk_as_input_error,
    output_path,
    writing_output,
)
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.grouping.kmeans import Metric, kmeans_groups
from semantic_tokens.grouping.lexicon_components import lexicon_groups
from semantic_tokens.json_files import write_json
from semantic_tokens.modeling.checkpoint_files import (
    check_shapes,
    tensor_shapes,
    weight_files,
)
from semantic_tokens.modeling.encoders import (
    check_head,
    check_vocabulary,
    empty_model,
    open_config,
    trusts_remote_code,
)
from semantic_tokens.modeling.export import export_with_card
from semantic_tokens.modeling.grouped_checkpoint import (
    NOT_FETCHED,
    PICKLES,
    copy_all_but_weights,
    real_path,
    word_embeddings,
    write_grouped_weights,
)
from semantic_tokens.modeling.loading import ModelFiles, is_semantic_token_model
from semantic_tokens.modeling.model_card import CardContent, check_push, push, write_card
from semantic_tokens.tokenization.vocabulary import (
    ids_without_subword,
    open_tokenizer,
    single_subword_id,
    special_ids,
    subword_texts,
    vocabulary_size,
)

log = logging.getLogger(__name__)

Pairs = TypeVar("Pairs", TranslationPairs, np.ndarray)

#: Additional files: ``token_to_group`` [V] and ``weight`` [V', d]; the members of every group; and
#: the settings.
GROUPS = "semantic_tokens.safetensors"
MEMBERS = "semantic_tokens.tsv"
ORIGIN = "semantic_tokens.json"

_LARGEST_SEED = 2**32 - 1  # every library takes it
_RATIO = 0.05  # the default of K-Means

Method = Literal["kmeans", "lexicon"]


@dataclass(frozen=True)
class Made:
    """The result for a model.

    Attributes:
        folder: the checkpoint.
        subwords: |V|.
        groups: |V'|.
        published: the repository of the hub to which it was uploaded.
    """

    folder: Path
    subwords: int
    groups: int
    published: str | None = None


def semantic_version(
    model: str | Path,
    output: str | Path,
    *,
    ratio: float | None = None,
    method: Method = "kmeans",
    metric: Metric = "cosine",
    lexicons: Sequence[str | Path] = (),
    dimension: int | None = None,
    seed: int = 1,
    max_iterations: int = 100,
    cluster_unused: bool = False,
    convert_pickle: bool = False,
    trust_remote_code: bool = False,
    revision: str | None = None,
    overwrite: bool = False,
    push_to_hub: str | None = None,
) -> Made:
    """Group the subwords of an encoder and write it as a checkpoint.

    Tensors without rows for subwords keep their names, dtypes and bytes. The files of the tokenizer
    are copied.

    Args:
        model: a folder in the layout of the hub, or a name on the Hugging Face hub.
        output: the folder to write, atomically.
        ratio: r_G = |V'| / |V|, for ``kmeans``; None for 0.05. With ``lexicon``, it follows from the
            lexicons.
        method: ``kmeans``, or ``lexicon`` for groups of connected translations (Appendix F).
        metric: for ``kmeans``: ``cosine``, or ``euclidean`` (Appendix E).
        lexicons: tables of concept, language, word and source. With ``kmeans`` the embeddings are
            first aligned with them (CLSA, section 2.2).
        dimension: the number of columns of the word embeddings to keep; the others become zero
            (2.3).
        seed: the seed of K-Means and of the alignment.
        max_iterations: the maximum number of passes of K-Means.
        cluster_unused: cluster ``[unusedN]`` too, and do not leave each in its own group.
        convert_pickle: accept a model that has only pickled weights; only its tensors are read.
        trust_remote_code: run the Python code of the checkpoint.
        revision: a commit of a model on the hub; None for the newest.
        overwrite: replace an existing ``output``.
        push_to_hub: a repository of the hub, ``OWNER/NAME``, to which to upload the result.

    Raises:
        InputError: the model, the lexicons, the output or an option is wrong.
    """
    if method == "lexicon" and ratio is not None:
        raise InputError("--ratio is for K-Means: groups by lexicons determine their own ratio")
    ratio = _RATIO if ratio is None else ratio
    _check_options(ratio, method, lexicons, seed, max_iterations)
    target = _checked_output(Path(output), overwrite)
    source = _found(model, revision, convert_pickle)
    _check_nothing_read_is_in(target, [source, *map(Path, lexicons)])
    config = open_config(source, trust_remote_code=trust_remote_code)
    tokenizer = open_tokenizer(source, trust_remote_code=trust_remote_code)
    subwords = vocabulary_size(tokenizer)
    files = weight_files(source, convert_pickle=convert_pickle)
    empty = empty_model(config, source, trust_remote_code=trust_remote_code)
    check_vocabulary(empty, subwords, source)
    shapes = tensor_shapes(files)
    check_shapes(shapes, empty, source)
    check_head(shapes, empty, source)
    embeddings = word_embeddings(files, empty, subwords)
    if dimension is not None and not 1 <= dimension <= embeddings.shape[1]:
        raise InputError(
            f"dimension {dimension} is outside 1..{embeddings.shape[1]}, what {model} has"
        )
    if push_to_hub is not None:
        check_push(push_to_hub)
    singletons = special_ids(tokenizer, with_unused=not cluster_unused)
    if method == "lexicon":
        pairs = _pairs(connected_translations, tokenizer, lexicons)
        kept = embeddings[:, :dimension].contiguous()
        groups = lexicon_groups(kept, pairs, singletons=special_ids(tokenizer))
    else:
        without_subword = ids_without_subword(tokenizer)
        count = round(ratio * (subwords - len(without_subword)))
        if not len(singletons) < count:
            raise InputError(
                f"a ratio of {ratio:g} makes {count} groups of {subwords} subwords, but "
                f"{len(singletons)} subwords are groups of one; take a larger ratio"
            )
        if lexicons:
            words = _pairs(single_subword_pairs, tokenizer, lexicons)
            embeddings, training = align(embeddings, words, seed=seed)
            log.info("aligned %d pairs of %d subwords", training.pairs, training.subwords)
        groups = kmeans_groups(
            embeddings[:, :dimension].contiguous(),
            metric=metric,
            ratio=ratio,
            singletons=singletons,
            without_subword=without_subword,
            seed=seed,
            max_iterations=max_iterations,
        )
    log.info("%d subwords in %d groups", len(groups.token_to_group), len(groups.weight))
    steps: dict[str, Any] = {
        "model": str(model),
        "revision": revision,
        "method": method,
        "dimension": dimension,
        "lexicons": [str(path) for path in lexicons],
    }
    if method == "kmeans":
        steps |= {
            "metric": metric,
            "ratio": ratio,
            "seed": seed,
            "max_iterations": max_iterations,
            "cluster_unused": cluster_unused,
        }
    with writing_output(target), atomic_folder(target) as made:
        copy_all_but_weights(source, made, target, files)
        write_grouped_weights(files, made, empty, groups)
        groups.save(made / GROUPS)
        _write_members(groups, tokenizer, made / MEMBERS)
        write_json(steps, made / ORIGIN)
        name = push_to_hub or target.name
        card = CardContent(
            name,
            str(model),
            revision,
            subwords,
            len(groups.weight),
            steps,
            hub_name=None if Path(model).is_dir() else str(model),
        )
        write_card(card, made)
    published = None if push_to_hub is None else push(target, push_to_hub)
    return Made(target, subwords, len(groups.weight), published)


def export_model(
    model: str | Path,
    output: str | Path,
    *,
    groups: str | Path | None = None,
    overwrite: bool = False,
    push_to_hub: str | None = None,
) -> Made:
    """Write a model of the workflow as a plain checkpoint with a model card.

    Args:
        model: a folder in ``results/models``, or a backbone in ``results/backbones``.
        output: the folder to write.
        groups: for a backbone, a file in ``results/groups``.
        overwrite: replace a model at ``output``.
        push_to_hub: a repository of the hub, ``OWNER/NAME``, to which to upload the result.

    Raises:
        InputError: the model, the groups or the output is wrong.
    """
    target = _checked_output(Path(output), overwrite)
    model = Path(model)
    if not (model / "config.json").is_file():
        raise InputError(f"{model} contains no config.json; name a folder of results/models")
    if groups is not None and not Path(groups).is_file():
        raise InputError(f"there is no file {groups}; name one of results/groups")
    _check_nothing_read_is_in(target, [model, *([] if groups is None else [Path(groups)])])
    files = ModelFiles(model, None if groups is None else Path(groups))
    _check_exportable(files)
    if push_to_hub is not None:
        check_push(push_to_hub)
    steps = {"model": str(model), "groups": None if groups is None else str(groups)}
    with writing_output(target), atomic_folder(target) as made:
        name = push_to_hub or target.name
        subwords, count = export_with_card(files, model, made, recipe=steps, name=name)
        write_json(steps, made / ORIGIN)
    published = None if push_to_hub is None else push(target, push_to_hub)
    return Made(target, subwords, count, published)


def _check_options(
    ratio: float, method: str, lexicons: Sequence[str | Path], seed: int, max_iterations: int
) -> None:
    if not 0 < ratio <= 1:
        raise InputError(f"the ratio is {ratio:g} and must be above 0 and at most 1")
    if not 0 <= seed <= _LARGEST_SEED:
        raise InputError(f"--seed is {seed} and must be within 0..{_LARGEST_SEED}")
    if max_iterations < 1:
        raise InputError(f"--max-iterations is {max_iterations} and must be at least 1")
    if method == "lexicon" and not lexicons:
        raise InputError("to group by lexicons, name at least one")
    for path in lexicons:
        if not Path(path).is_file():
            raise InputError(f"there is no lexicon {path}; it is a table of tab-separated columns")


def _checked_output(output: Path, overwrite: bool) -> Path:
    """The folder to write, with links resolved.

    Raises:
        InputError: it cannot be written, or contains files that must not be replaced.
    """
    target = output_path(output)
    if target.exists():
        if not target.is_dir():
            raise InputError(f"the output {output} is a file; name a folder")
        if target.is_mount():
            raise InputError(
                f"{output} is a mount point and cannot be replaced; name a folder in it"
            )
        if target == Path.cwd().resolve() or target in Path.cwd().resolve().parents:
            raise InputError(
                f"{output} is the folder that you are in, or one above it; name another folder for "
                "the output"
            )
        if any(target.iterdir()):
            if not (target / ORIGIN).is_file():
                raise InputError(
                    f"{output} is not a semantic-token model and is not replaced; name another "
                    "folder, or empty it"
                )
            if not overwrite:
                raise InputError(f"{output} exists; name another folder, or pass --overwrite")
    check_writable(target)
    return target


def _check_nothing_read_is_in(target: Path, paths: Iterable[Path]) -> None:
    """Check that a new folder at ``target`` does not replace a file that is read for it.

    Args:
        target: the output, with links resolved. It may be in a folder that is read.
        paths: the files and folders that are read.

    Raises:
        InputError: ``target`` is, or contains, one of them, or a file to which they link.
    """
    for path in paths:
        source = path.resolve()
        links = (link for link in source.rglob("*") if link.is_symlink())
        for read in [source, *(link for link in links if not link.is_relative_to(target))]:
            if real_path(read).is_relative_to(target):
                raise InputError(
                    f"the output {target} contains {real_path(read)}, which this command reads; name "
                    "another folder"
                )


def _found(model: str | Path, revision: str | None, convert_pickle: bool) -> Path:
    """The local folder of a model, or a copy from the hub."""
    folder = Path(model)
    if folder.is_dir():
        if revision is not None:
            raise InputError(
                f"--revision is for a model on the hub, and {model} is a folder; remove it"
            )
        return folder
    if folder.exists():
        raise InputError(f"{model} is a file; name the folder of the model")
    name = str(model)
    if folder.is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise InputError(f"there is no folder {model}; name one, or a model on the hub")
    return _from_hub(name, revision, convert_pickle)


def _from_hub(name: str, revision: str | None, convert_pickle: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    ignored = [pattern for pattern in NOT_FETCHED if not (convert_pickle and pattern == PICKLES)]
    cache = Path(HF_HUB_CACHE)
    try:
        with full_disk_as_input_error(
            f"the model {name}", cache, "free some space, or set HF_HOME"
        ):
            return Path(snapshot_download(name, revision=revision, ignore_patterns=ignored))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"there is no folder {name}, and the hub does not give a model of that name "
            f"({type(error).__name__}: {one_line(error)}); correct the name, or fetch the model by hand"
        ) from error


def _check_exportable(files: ModelFiles) -> None:
    """Check a model and its groups before anything is written.

    Raises:
        InputError: the weights or the tokenizer are missing or incomplete, do not match the
            configuration, or the groups are of another vocabulary, or of First-k.
    """
    model = files.folder
    weights = weight_files(model, convert_pickle=True)
    trusted = trusts_remote_code(files.source)
    config = open_config(files.source, trust_remote_code=trusted)
    subwords = vocabulary_size(open_tokenizer(model, trust_remote_code=trusted))
    empty = empty_model(config, files.source, trust_remote_code=trusted)
    check_vocabulary(empty, subwords, model)
    if not is_semantic_token_model(model):
        check_shapes(tensor_shapes(weights), empty, model)
    elif files.groups is not None:
        raise InputError(
            f"{model} has its own groups; leave out --groups, or name a backbone of "
            "results/backbones"
        )
    if files.groups is None:
        if not is_semantic_token_model(model):
            log.warning(
                "%s is a backbone, and without --groups each of its subwords keeps its own embedding",
                model,
            )
        return
    groups = Groups.load(files.groups)
    if len(groups.token_to_group) != subwords:
        raise InputError(
            f"{files.groups} are of {len(groups.token_to_group)} subwords, and {model} has "
            f"{subwords}; name the groups of this backbone"
        )
    if groups.is_first_k:
        raise InputError(
            f"{files.groups} are of First-k, which also needs a tokenizer without the removed "
            f"subwords; export it with `snakemake results/exported/…/{files.groups.stem}/asis`"
        )


def _pairs(
    paired: Callable[[list[Entry], Callable[[str], int | None]], Pairs],
    tokenizer: PreTrainedTokenizerFast,
    lexicons: Sequence[str | Path],
) -> Pairs:
    entries = [entry for path in lexicons for entry in table(Path(path))]
    pairs = paired(entries, lambda word: single_subword_id(tokenizer, word))
    if not len(pairs):
        raise InputError(
            f"{', '.join(map(str, lexicons))}: no two words of a concept are single subwords of "
            "this model, in two languages; name other lexicons"
        )
    return pairs


def _write_members(groups: Groups, tokenizer: PreTrainedTokenizerFast, path: Path) -> None:
    """Write one line per group of two or more subwords: number, size, and subwords as JSON
    strings."""
    texts = subword_texts(tokenizer)
    members: dict[int, list[str]] = {}
    for token, group in enumerate(groups.token_to_group.tolist()):
        if texts[token]:
            members.setdefault(group, []).append(texts[token])
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write("group\tsubwords\tmembers\n")
        for group, subwords in members.items():
            if len(subwords) > 1:
                words = " ".join(json.dumps(word, ensure_ascii=False) for word in subwords)
                file.write(f"{group}\t{len(subwords)}\t{words}\n")
