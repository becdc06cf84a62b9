"""The parameters and inputs of files that runs share, including those of all earlier steps.

Rules pass parameters and input files to a step. This module gives the same information for any file
that is made before fine-tuning, from its path. So it can be checked whether two configurations make
the same file. Paths are those of a run without a name; :mod:`semantic_tokens.study.runs` finds the
run and the folder of such a file.

A configuration must be completed by
:func:`~semantic_tokens.study.configuration.validate_config`.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from semantic_tokens.errors import InputError
from semantic_tokens.study.recipe import lexicons_of, segmentation_of
from semantic_tokens.study.replicates import split_replicate

Config = Mapping[str, Any]


class Ingredients(NamedTuple):
    """The parameters and inputs of a file.

    Attributes:
        parameters: the values of the configuration that its step uses.
        inputs: the files from other steps that its step reads.
    """

    parameters: Any
    inputs: Sequence[str] = ()


SPLITS = ("train", "dev", "test")

#: Training options that change the result only by rounding, and by the random numbers that dropout
#: draws. So a change of them makes nothing stale. ``training.options`` has the same list, and imports
#: torch.
DIVIDE_THE_WORK = ("checkpoint_every", "device_batch_size", "gradient_checkpointing")

#: The options that affect the masked sequences of pretraining.
OBJECTIVE = (
    "mask_probability",
    "language_sampling_exponent",
    "held_out_sequences",
    "logits",
    "seed",
)


def download_spec(spec: Config) -> dict[str, Any]:
    """The parameters that affect the files of a download, without their descriptions.

    The list of checksums is replaced by its content, which :func:`checksums_of` reads."""
    return {key: spec[key] for key in spec if key not in ("licence", "size_mb", "checksums")}


def checksums_of(spec: Config) -> dict[str, str] | None:
    """The content of a download's list of checksums; None if it has none."""
    from semantic_tokens.sources.folder import read_checksums

    return read_checksums(spec["checksums"]) if spec.get("checksums") else None


def reading_spec(spec: Config) -> dict[str, Any]:
    """The parameters that affect the reading of an entry, without those of other steps."""
    keys = ("kind", "reader", "options", "minimum_characters")
    return {key: spec[key] for key in keys if key in spec}


def backbone_spec(spec: Config) -> dict[str, Any]:
    """The parameters that affect a backbone. Its shape is only for the plan, and an option that is
    off equals a missing one."""
    return {key: spec[key] for key in spec if key != "shape" and spec[key] not in (None, False)}


def training_spec(options: Config) -> dict[str, Any]:
    """The options that affect the result of a training, without those that divide its work."""
    training = {k: v for k, v in options["training"].items() if k not in DIVIDE_THE_WORK}
    recorded = {k: v for k, v in options.items() if k != "evaluation_batch_size"}
    return {**recorded, "training": training}


def division_of_work(options: Config) -> dict[str, Any]:
    """The training options that :func:`training_spec` leaves out."""
    return {k: v for k, v in options["training"].items() if k in DIVIDE_THE_WORK}


def measured_training(options: Config) -> dict[str, Any]:
    """The training options that affect the speed and the memory of a step."""
    return {k: v for k, v in options["training"].items() if k != "checkpoint_every"}


def objective(config: Config) -> dict[str, Any]:
    """The options of :data:`OBJECTIVE`."""
    return {key: config["pretraining"][key] for key in OBJECTIVE}


def resegments(config: Config) -> bool:
    """Whether First-k segments texts again with its own tokenizer."""
    return bool(config["grouping"]["first_k"]["mode"] == "resegment")


def fetched_files(spec: Config) -> list[str]:
    """The archive and the folders of downloads that an entry of the config is read from.

    A ``path`` has priority over both, since it is the user's copy."""
    if spec.get("path"):
        return []
    files = [f"resources/wheels/{spec['wheel']}.whl"] if spec.get("wheel") else []
    names = spec.get("download") or []
    return files + [
        f"resources/downloads/{n}" for n in ([names] if isinstance(names, str) else names)
    ]


def ranked_depth(config: Config, task: str) -> int | None:
    """The number of BM25's passages that a task reranks; None for other tasks."""
    spec = config["tasks"][task]
    return spec["options"]["rerank_depth"] if spec["kind"] == "reranking" else None


def answer_normalization(config: Config, task: str) -> str:
    """The normalisation of answers before F1, which only question answering uses."""
    return str(config["tasks"][task]["options"].get("normalization", "squad"))


def made_from(config: Config, path: str) -> Ingredients | None:
    """The parameters and inputs of a file.

    Args:
        path: the path in a run without a name, such as ``results/lexicons/muse.tsv``.

    Returns:
        None if runs do not share files of this step.

    Raises:
        KeyError: the configuration has no such entry.
    """
    for pattern, step in _STEPS:
        if found := pattern.fullmatch(path):
            return step(config, **found.groupdict())
    return None


class Digests:
    """Digests of parameters and inputs for one configuration. Equal digests mean equal files."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[str, str | None] = {}

    def of(self, path: str) -> str | None:
        """A digest over a file's step and all earlier steps.

        None if runs do not share files of this step, or the configuration makes no such file.
        """
        if path not in self._known:
            try:
                self._known[path] = self._digest(path)
            except (KeyError, TypeError, AttributeError, InputError):
                # There is no such entry, or the configuration is from another version of the
                # workflow.
                self._known[path] = None
        return self._known[path]

    def _digest(self, path: str) -> str | None:
        found = made_from(self._config, path)
        if found is None:
            return None
        inputs = {}
        for file in found.inputs:
            inputs[file] = self.of(file)
            if inputs[file] is None:
                return None
        text = json.dumps([found.parameters, inputs], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


_Step = Callable[..., Ingredients]
_STEPS: list[tuple[re.Pattern[str], _Step]] = []


def _makes(*paths: str) -> Callable[[_Step], _Step]:
    """Register the function for files with these paths. ``{name}`` is one folder or a part of a
    file's name, and is passed as an argument with this name."""

    def register(step: _Step) -> _Step:
        for path in paths:
            parts = re.split(r"\{(\w+)\}", path)
            pattern = "".join(
                f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part)
                for number, part in enumerate(parts)
            )
            _STEPS.append((re.compile(pattern), step))
        return step

    return register


def _read(config: Config, section: str, name: str) -> Ingredients:
    """Parameters and inputs of a lexicon, a corpus or a dataset."""
    spec = config[section][name]
    return Ingredients([reading_spec(spec), spec.get("path")], fetched_files(spec))


@_makes("resources/wheels/{wheel}.whl")
def _wheel(config: Config, wheel: str) -> Ingredients:
    return Ingredients(config["wheels"][wheel]["sha256"])


@_makes("resources/downloads/{download}")
def _download(config: Config, download: str) -> Ingredients:
    spec = config["downloads"][download]
    return Ingredients([download_spec(spec), checksums_of(spec)])


@_makes("results/lexicons/{lexicon}.tsv")
def _lexicon(config: Config, lexicon: str) -> Ingredients:
    return _read(config, "lexicons", lexicon)


@_makes("results/corpora/{corpus}.jsonl")
def _corpus(config: Config, corpus: str) -> Ingredients:
    return _read(config, "corpora", corpus)


@_makes("results/datasets/{dataset}/{table}.jsonl")
def _dataset(config: Config, dataset: str, table: str) -> Ingredients:
    return _read(config, "datasets", dataset)


def _splits(dataset: str, folder: str = "datasets") -> list[str]:
    return [f"results/{folder}/{dataset}/{split}.jsonl" for split in SPLITS]


def _passages(dataset: str) -> str:
    return f"results/datasets/{dataset}/passages.jsonl"


def searched_passages(config: Config, dataset: str) -> str:
    """The passages that a dataset's queries search: all passages, or its pool."""
    has_pool = config["datasets"][dataset].get("pool")
    return f"results/pools/{dataset}/passages.jsonl" if has_pool else _passages(dataset)


@_makes("results/candidates/{dataset}/{split}.jsonl")
def _candidates(config: Config, dataset: str, split: str) -> Ingredients:
    return Ingredients(config["bm25"], [_passages(dataset), *_splits(dataset)])


@_makes("results/pools/{dataset}/passages.jsonl")
def _pool(config: Config, dataset: str) -> Ingredients:
    inputs = [_passages(dataset), *_splits(dataset), *_splits(dataset, "candidates")]
    return Ingredients(config["datasets"][dataset]["pool"], inputs)


@_makes("results/backbones/{backbone}/{file}")
def _backbone(config: Config, backbone: str, file: str) -> Ingredients:
    spec = config["backbones"][split_replicate(backbone)[0]]
    texts = [f"results/corpora/{name}.jsonl" for name in spec.get("vocabulary_texts", [])]
    return Ingredients(backbone_spec(spec), [*fetched_files(spec), *texts])


def _tokenizer(backbone: str, segmentation: str) -> str:
    """The tokenizer of a segmentation, which replicates share."""
    original = split_replicate(backbone)[0]
    if segmentation == "original":
        return f"results/backbones/{original}/tokenizer.json"
    return f"results/tokenizers/{original}/{segmentation}/tokenizer.json"


@_makes("results/tokenizers/{backbone}/{segmentation}/{file}")
def _truncated_tokenizer(
    config: Config, backbone: str, segmentation: str, file: str
) -> Ingredients:
    return Ingredients(None, [_tokenizer(backbone, "original")])


@_makes("results/tokenized/{backbone}/{segmentation}/corpora/{corpus}.safetensors")
def _tokenized_corpus(config: Config, backbone: str, segmentation: str, corpus: str) -> Ingredients:
    inputs = [_tokenizer(backbone, segmentation), f"results/backbones/{backbone}/config.json"]
    inputs.append(f"results/corpora/{corpus}.jsonl")
    return Ingredients(config["pretraining"]["sequence_length"], inputs)


def _tokenized_corpora(config: Config, backbone: str, segmentation: str) -> list[str]:
    folder = f"results/tokenized/{split_replicate(backbone)[0]}/{segmentation}/corpora"
    return [f"{folder}/{corpus}.safetensors" for corpus in config["pretraining"]["corpora"]]


@_makes("results/tokenized/{backbone}/original/subword_counts.safetensors")
def _subword_counts(config: Config, backbone: str) -> Ingredients:
    return Ingredients(None, _tokenized_corpora(config, backbone, "original"))


@_makes("results/tokenized/{backbone}/{segmentation}/{dataset}/{table}.parquet")
def _tokenized_dataset(
    config: Config, backbone: str, segmentation: str, dataset: str, table: str
) -> Ingredients:
    spec = config["datasets"][dataset]
    inputs = [_tokenizer(backbone, segmentation), f"results/backbones/{backbone}/config.json"]
    inputs += _splits(dataset)
    if spec["kind"] == "ranking":
        inputs.append(searched_passages(config, dataset))
    return Ingredients([spec["kind"], spec["tokenization"]], inputs)


def _model_of(backbone: str) -> list[str]:
    return [f"results/backbones/{backbone}/{name}" for name in ("config.json", "model.safetensors")]


@_makes("results/embeddings/{backbone}/{alignment}/{dimension}.safetensors")
def _embeddings(config: Config, backbone: str, alignment: str, dimension: str) -> Ingredients:
    if dimension != "dfull":
        return Ingredients(None, [f"results/embeddings/{backbone}/{alignment}/dfull.safetensors"])
    tokenizer = f"results/backbones/{backbone}/tokenizer.json"
    if alignment == "unaligned":
        return Ingredients(None, [*_model_of(backbone), tokenizer])
    names = [name for name in lexicons_of(alignment) if name != "roundtrip"]
    lexicons = [f"results/lexicons/{name}.tsv" for name in names]
    unaligned = f"results/embeddings/{backbone}/unaligned/dfull.safetensors"
    return Ingredients(config["alignment"], [unaligned, tokenizer, *lexicons])


@_makes("results/groups/{backbone}/{alignment}/{dimension}/{grouping}.safetensors")
def _groups(
    config: Config, backbone: str, alignment: str, dimension: str, grouping: str
) -> Ingredients:
    options = config["grouping"]
    method, _, rest = grouping.partition("-")
    inputs = [f"results/embeddings/{backbone}/{alignment}/{dimension}.safetensors"]
    inputs.append(f"results/backbones/{backbone}/tokenizer.json")
    original = split_replicate(backbone)[0]
    counts = f"results/tokenized/{original}/original/subword_counts.safetensors"
    folder = f"results/groups/{backbone}/{alignment}/{dimension}"
    same_sizes = f"{folder}/kmeans-cosine-{rest}.safetensors"
    parameters: dict[str, Any] = {}
    if method in ("kmeans", "random", "frequency"):
        parameters |= {key: options[key] for key in ("cluster_unused", "embedding")}
    if method == "kmeans":
        parameters["kmeans"] = options["kmeans"]
    if grouping.startswith("kmeans-weighted-"):
        parameters["kmeans_weighted"] = options["kmeans_weighted"]
        inputs.append(counts)
    if method == "random":
        parameters["random"] = options["random"]
        inputs.append(same_sizes)
    if method == "frequency":
        inputs += [same_sizes, counts]
    if method == "lexicon":
        inputs += [f"results/lexicons/{name}.tsv" for name in lexicons_of(grouping)]
    return Ingredients(parameters, inputs)


def _pretrained_inputs(
    config: Config, backbone: str, alignment: str, dimension: str, grouping: str
) -> list[str]:
    segmentation = segmentation_of(grouping, resegments=resegments(config))
    inputs = [*_model_of(backbone), _tokenizer(backbone, segmentation)]
    if grouping != "ungrouped":
        folder = f"results/groups/{backbone}/{alignment}/{dimension}"
        inputs.append(f"{folder}/{grouping}.safetensors")
    elif (alignment, dimension) != ("unaligned", "dfull"):
        inputs.append(f"results/embeddings/{backbone}/{alignment}/{dimension}.safetensors")
    return inputs + _tokenized_corpora(config, backbone, segmentation)


_GROUPS = "{backbone}/{alignment}/{dimension}/{grouping}"


@_makes(f"results/efficiency/{{logits}}-logits/{_GROUPS}.json")
def _measured(config: Config, logits: str, **recipe: str) -> Ingredients:
    training = measured_training(config["pretraining"])
    measured = {**objective(config), "logits": logits}
    steps = config["pretraining"]["measured_steps"]
    return Ingredients([training, measured, steps], _pretrained_inputs(config, **recipe))


@_makes(
    f"results/models/{_GROUPS}/mlm",
    f"results/held_out/{_GROUPS}.json",
    f"results/training/pretrain/{_GROUPS}.steps.tsv",
)
def _pretrained(config: Config, **recipe: str) -> Ingredients:
    training = training_spec(config["pretraining"])["training"]
    return Ingredients([training, objective(config)], _pretrained_inputs(config, **recipe))


@_makes(
    "results/baselines/{baseline}/{task}.items.parquet", "results/baselines/{baseline}/{task}.json"
)
def _baseline(config: Config, baseline: str, task: str) -> Ingredients:
    spec = config["tasks"][task]
    dataset, split = spec["dataset"], config["evaluation_split"]
    inputs = [
        f"results/datasets/{dataset}/train.jsonl",
        f"results/datasets/{dataset}/{split}.jsonl",
    ]
    if baseline == "bm25" or spec["kind"] == "reranking":
        inputs.append(f"results/candidates/{dataset}/{split}.jsonl")
    elif spec["kind"] == "retrieval":
        inputs.append(searched_passages(config, dataset))
    parameters = [spec["kind"], ranked_depth(config, task), answer_normalization(config, task)]
    return Ingredients(parameters, inputs)
