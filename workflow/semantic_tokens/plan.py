"""What a study takes before any of it starts: jobs, downloads, disk, and hours of computing.

Hours come from counted floating-point operations over a throughput. A multiplication and its
addition are two operations; a training step costs three forward passes. Texts are taken to be as
long as they may be, so the counts of tasks are upper bounds.

Disk is reckoned from the sizes of downloads before they are there, and from the files themselves
where they are. Text is taken to be three times its packed files (Wikipedia's Parquet is 1.7 times in
English, gzipped JSON some three), and tokenised, four bytes a token, as large as the text: mBERT's
tokens stand for 3.0 (Chinese) to 6.7 bytes (Hindi) of XQuAD's paragraphs.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semantic_tokens.modeling.encoders import open_config
from semantic_tokens.recipe import Recipe, lexicons_of

_FLOAT = 4  # bytes of a stored weight
_TRAINING = 3  # forward passes that a step costs: itself, and twice that backward
_UNPACKED = 3  # times that text is larger than the files it comes in
# BM25 parts the passages by language, and indexes 8 bytes for each different word of a passage.
_INDEX = 2.5


#: What every replicate of the pipeline does again.
REPEATED = {
    "extract_embeddings", "align", "reduce_dimension", "group_kmeans", "group_kmeans_weighted",
    "group_random", "group_by_frequency", "group_first_k", "group_by_lexicon", "pretrain",
    "fine_tune",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """The sizes of a backbone that its cost follows from."""

    layers: int
    hidden: int
    feed_forward: int
    vocabulary: int

    @classmethod
    def of(cls, spec: Mapping[str, Any], folder: Path) -> "Shape | None":
        """The shape of a backbone that is made already, or that its config entry gives."""
        if (folder / "config.json").is_file():
            made = open_config(folder)
            return cls(
                made.num_hidden_layers,
                made.hidden_size,
                getattr(made, "intermediate_size", None) or 4 * made.hidden_size,
                made.vocab_size,
            )
        return cls(**spec["shape"]) if spec.get("shape") else None

    @property
    def encoder_parameters(self) -> int:
        """Weights of the layers' matrices."""
        return self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.feed_forward)

    def forward(self, tokens: float, length: int) -> float:
        """Operations of encoding so many tokens in texts of this length."""
        attention = 4 * self.layers * self.hidden * length
        return tokens * (2 * self.encoder_parameters + attention)


@dataclass
class Cost:
    """What one kind of job takes in all.

    Attributes:
        jobs: how many there are.
        operations: floating-point operations of all of them.
        bytes: of what they write.
        scratch: bytes that one of them keeps while it runs, at the most.
        unknown: what of them could not be counted, and why.
    """

    jobs: int = 0
    operations: float = 0.0
    bytes: float = 0.0
    scratch: float = 0.0
    unknown: Counter[str] = field(default_factory=Counter)


def groups_in(recipe: Recipe, shape: Shape) -> int:
    """|V'| of a recipe; of a grouping by lexicon, whose ratio only it tells, |V|."""
    ratio = 1.0 if recipe.grouping_method == "lexicon" else recipe.ratio
    return round(ratio * shape.vocabulary)


def model_bytes(recipe: Recipe, shape: Shape) -> float:
    """The weights of a recipe's model: the layers', and |V'| embeddings of its dimension."""
    dimension = recipe.dimension_number or shape.hidden
    return _FLOAT * (shape.encoder_parameters + groups_in(recipe, shape) * dimension)


#: The rule that makes a grouping, by how its name begins.
_GROUPED_BY = {
    "kmeans-weighted": "group_kmeans_weighted",
    "kmeans": "group_kmeans",
    "firstk": "group_first_k",
    "random": "group_random",
    "frequency": "group_by_frequency",
    "lexicon": "group_by_lexicon",
}
#: Those that need to know how often subwords occur in the corpora of pretraining.
_COUNTING = ("group_kmeans_weighted", "group_by_frequency")


def _checkpoints(training: Mapping[str, Any], size: float) -> float:
    """Bytes of two checkpoints in turn, each of the weights and AdamW's two moments."""
    return 2 * 3 * size if training.get("checkpoint_every") else 0.0


def pretraining_operations(
    shape: Shape, groups: int, dimension: int, options: Mapping[str, Any]
) -> float:
    """Operations of continual pretraining (section 2.4), with logits at masked positions alone."""
    training = options["training"]
    tokens = training["max_steps"] * training["batch_size"] * options["sequence_length"]
    masked = tokens * options["mask_probability"]
    head = masked * 2 * (shape.hidden**2 + dimension * groups)
    return _TRAINING * (shape.forward(tokens, options["sequence_length"]) + head)


def task_operations(
    kind: str,
    shape: Shape,
    counts: Mapping[str, float],
    lengths: Mapping[str, int],
    options: Mapping[str, Any],
    training: Mapping[str, Any],
) -> tuple[float, float]:
    """Operations of training and of scoring, both at full length.

    Args:
        counts: ``train`` and ``test`` examples or queries; for ranking ``relevant`` passages a
            training query, and ``passages``.
        lengths: the dataset's ``tokenization``.

    Raises:
        KeyError: names the count that is missing.
    """
    epochs, batch = training.get("epochs", 1.0), training["batch_size"]

    def trained(examples: float) -> float:
        limit = training.get("max_steps")
        return examples * epochs if limit is None else min(examples * epochs, limit * batch)

    def encoded(length: int) -> float:
        return shape.forward(length, length)

    if kind not in ("reranking", "retrieval"):
        text = encoded(lengths["max_length"])
        return trained(counts["train"]) * _TRAINING * text, counts["test"] * text
    negatives = options.get("negatives_per_query", 4 if kind == "reranking" else 1)
    if kind == "reranking":
        pair = encoded(options.get("max_length", 256))
        if options.get("loss", "pointwise") == "pointwise":
            pairs = trained(counts["train"] * (counts["relevant"] + negatives))
        else:
            pairs = trained(counts["train"] * counts["relevant"]) * (1 + negatives)
        return pairs * _TRAINING * pair, counts["test"] * options.get("rerank_depth", 100) * pair
    query, passage = (encoded(lengths[f"max_{side}_length"]) for side in ("query", "passage"))
    # Where the batch does not fit, every text is encoded once more (gradient caching).
    passes = _TRAINING + int((training.get("device_batch_size") or batch) < batch)
    # An epoch is a pass over queries, each with one of its relevant passages.
    examples = trained(counts["train"])
    return (
        passes * examples * (query + (1 + negatives) * passage),
        counts["passages"] * passage + counts["test"] * query,
    )


def plan(
    rows: Sequence[Mapping[str, Any]],
    *,
    tasks: Mapping[str, Mapping[str, Any]],
    datasets: Mapping[str, Mapping[str, Any]],
    backbones: Mapping[str, Mapping[str, Any]],
    corpora: Mapping[str, Mapping[str, Any]],
    sizes: Mapping[str, float | None],
    pretraining: Mapping[str, Any],
    kmeans: Mapping[str, Any],
    seeds: Sequence[int],
    resegment: bool,
    results: Path,
    replicates: int = 1,
) -> dict[str, Cost]:
    """The cost of every kind of job of some experiments.

    Args:
        rows: experiments, as :meth:`configuration.Experiment.as_dict` gives them.
        tasks: the tasks shown, with their dataset, options and training.
        datasets, backbones, corpora: those entries of the config.
        sizes: of downloads, in megabytes.
        pretraining: with the names of its ``corpora``.
        kmeans: ``max_iterations``.
        resegment: whether First-k cuts the text anew.
        results: where backbones that are made already lie, and datasets.
        replicates: how often the whole pipeline is run.
    """
    recipes = [
        (Recipe(*(row[part] for part in Recipe.__dataclass_fields__)), row["training"])
        for row in rows
    ]
    shapes = {
        recipe.backbone: Shape.of(
            backbones[recipe.backbone], results / "backbones" / recipe.backbone
        )
        for recipe, _ in recipes
    }
    counts = {
        task["dataset"]: _counts(results / "datasets" / task["dataset"], datasets[task["dataset"]])
        for task in tasks.values()
    }
    costs: dict[str, Cost] = {}

    def add(rule: str, jobs: int = 1) -> Cost:
        cost = costs.setdefault(rule, Cost())
        cost.jobs += jobs
        return cost

    read = {name for name in shapes for name in backbones[name].get("vocabulary_texts", [])}
    is_pretrained = any(recipe.is_pretrained for recipe, _ in recipes)
    if is_pretrained:
        read |= set(pretraining["corpora"])
    lexicons = {
        name
        for recipe, _ in recipes
        for part in (recipe.alignment, recipe.grouping)
        for name in lexicons_of(part)
    }
    add("read_lexicon", len(lexicons - {"roundtrip"}))
    texts = _Texts(results, sizes, corpora, datasets)
    for name in sorted(read):
        texts.add_to(add("read_corpus"), texts.of_corpus(name))
    for dataset in counts:
        ranking = datasets[dataset]["kind"] == "ranking"
        rule = "read_ranking_dataset" if ranking else "read_dataset"
        text = texts.of_dataset(dataset)
        texts.add_to(add(rule), text)
        if ranking:
            bm25 = add("rank_bm25")
            bm25.scratch = max(bm25.scratch, _INDEX * (text or 0))
        if datasets[dataset].get("pool"):
            texts.add_to(add("pool_passages"), _pooled(text, datasets[dataset], counts[dataset]))
    for task in tasks.values():  # chance, and for rankings BM25
        add("baseline", 2 if task["kind"] in ("reranking", "retrieval") else 1)
    add("derive_backbone", len(shapes)).bytes += sum(
        _FLOAT * (shape.encoder_parameters + shape.vocabulary * shape.hidden)
        for shape in shapes.values()
        if shape
    )
    segmentations = set()
    for recipe, _ in recipes:
        cut = recipe.segmentation if resegment else "original"
        segmentations.add((recipe.backbone, cut, recipe.is_pretrained))
    cuts = {(backbone, cut) for backbone, cut, _ in segmentations}
    add("truncate_tokenizer", sum(cut != "original" for _, cut in cuts))
    for dataset in counts:
        ranking = datasets[dataset]["kind"] == "ranking"
        rule = "tokenize_ranking" if ranking else "tokenize_dataset"
        text = _pooled(texts.of_dataset(dataset), datasets[dataset], counts[dataset])
        for _ in cuts:
            texts.add_to(add(rule), text)
    for _ in {(backbone, cut) for backbone, cut, mlm in segmentations if mlm}:
        for name in pretraining["corpora"]:
            texts.add_to(add("tokenize_corpus"), texts.of_corpus(name))
    _count_models(recipes, shapes, pretraining, kmeans, add)
    for recipe, training in dict.fromkeys(recipes):
        shape = shapes[recipe.backbone]
        for name, task in tasks.items():
            cost = add("fine_tune", len(seeds))
            dataset = task["dataset"]
            if shape is None:
                cost.unknown[f"backbone {recipe.backbone} has no `shape` yet"] += len(seeds)
                continue
            kept = _checkpoints(task["training"], model_bytes(recipe, shape))
            cost.scratch = max(cost.scratch, kept)
            if training != "all-languages":
                cost.unknown[f"training in {training} alone"] += len(seeds)
                continue
            try:
                trained, scored = task_operations(
                    task["kind"],
                    shape,
                    counts[dataset] | _searched(datasets[dataset], counts[dataset]),
                    datasets[dataset]["tokenization"],
                    task["options"],
                    task["training"],
                )
            except KeyError as error:
                cost.unknown[f"task {name}: dataset {dataset} has no count {error}"] += len(seeds)
                continue
            cost.operations += (trained + scored) * len(seeds)
    for rule in REPEATED & set(costs):
        cost = costs[rule]
        cost.jobs *= replicates
        cost.operations *= replicates
        cost.bytes *= replicates
        cost.unknown = Counter({why: n * replicates for why, n in cost.unknown.items()})
    add("replicate_backbone", len(shapes) * (replicates - 1))
    return {rule: cost for rule, cost in costs.items() if cost.jobs}


class _Texts:
    """How much text corpora and datasets hold: counted where it is read already, else reckoned from
    the files that it comes in. None where nothing tells."""

    def __init__(
        self,
        results: Path,
        sizes: Mapping[str, float | None],
        corpora: Mapping[str, Mapping[str, Any]],
        datasets: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.results, self.sizes = results, sizes
        self.corpora, self.datasets = corpora, datasets
        #: How many corpora share a download: one language each.
        self.shared = Counter(str(spec.get("download")) for spec in corpora.values())

    def of_corpus(self, name: str) -> float | None:
        spec = self.corpora[name]
        whole = self._text([self.results / "corpora" / f"{name}.jsonl"], spec)
        is_read = (self.results / "corpora" / f"{name}.jsonl").is_file()
        if whole is None or is_read or spec.get("path") or not spec.get("download"):
            return whole
        return whole / self.shared[str(spec["download"])]

    def of_dataset(self, name: str) -> float | None:
        folder = self.results / "datasets" / name
        return self._text(sorted(folder.glob("*.jsonl")), self.datasets[name])

    def _text(self, read: Sequence[Path], spec: Mapping[str, Any]) -> float | None:
        if found := [file.stat().st_size for file in read if file.is_file()]:
            return float(sum(found))
        if spec.get("path"):
            own = Path(spec["path"])
            files = [own] if own.is_file() else [file for file in own.rglob("*") if file.is_file()]
            return float(sum(file.stat().st_size for file in files))
        names = spec.get("download") or []
        sizes = [self.sizes.get(name) for name in ([names] if isinstance(names, str) else names)]
        known = [size for size in sizes if size]
        return _UNPACKED * 1e6 * sum(known) if sizes and len(known) == len(sizes) else None

    def add_to(self, cost: Cost, text: float | None) -> None:
        cost.bytes += text or 0
        cost.unknown["disk of text whose source has no known size"] += text is None


def _searched(dataset: Mapping[str, Any], counts: Mapping[str, float]) -> dict[str, float]:
    """The passages of a pool, at the most, where a dataset has one and it is known."""
    pool, needed = dataset.get("pool"), ("train", "test", "relevant", "passages")
    if not pool or any(name not in counts for name in needed):
        return {}
    named = (counts["train"] + counts["test"]) * (counts["relevant"] + pool["depth"])
    languages = dataset.get("options", {}).get("languages", ())
    drawn = pool["random_per_language"] * max(1, len(languages))
    return {"passages": min(counts["passages"], named + drawn)}


def _pooled(
    text: float | None, dataset: Mapping[str, Any], counts: Mapping[str, float]
) -> float | None:
    """The share of a dataset's text that a pool keeps, or all of it."""
    searched = _searched(dataset, counts)
    return text and text * searched.get("passages", 1) / (counts["passages"] if searched else 1)


def _count_models(
    recipes: Sequence[tuple[Recipe, str]],
    shapes: Mapping[str, Shape | None],
    pretraining: Mapping[str, Any],
    kmeans: Mapping[str, Any],
    add: Any,
) -> None:
    """Embeddings, groups and models, each once however many experiments share it."""
    seen: set[tuple[str, ...]] = set()

    def first(*identity: str) -> bool:
        is_new = identity not in seen
        seen.add(identity)
        return is_new

    for recipe, _ in recipes:
        shape = shapes[recipe.backbone]
        dimension = (recipe.dimension_number or shape.hidden) if shape else 0
        groups = groups_in(recipe, shape) if shape else 0
        matrix = shape.vocabulary * _FLOAT if shape else 0
        embeddings = (recipe.backbone, recipe.alignment)
        model = (*embeddings, recipe.dimension, recipe.grouping)
        is_changed = model[1:] != ("unaligned", "dfull", "ungrouped")
        if is_changed and first(recipe.backbone):
            add("extract_embeddings").bytes += matrix * (shape.hidden if shape else 0)
        if recipe.is_aligned and first(*embeddings):
            add("align").bytes += matrix * (shape.hidden if shape else 0)
        if recipe.dimension != "dfull" and first(*embeddings, recipe.dimension):
            add("reduce_dimension").bytes += matrix * dimension
        size = model_bytes(recipe, shape) if shape else 0.0
        if recipe.grouping != "ungrouped" and first(*model):
            names = [recipe.grouping]
            if recipe.grouping_method in ("random", "frequency"):
                names.append(f"kmeans-cosine-{recipe.grouping.rpartition('-')[2]}")  # their sizes
            for name in names:
                if not first("grouping", *model[:-1], name):
                    continue
                rule = next(rule for start, rule in _GROUPED_BY.items() if name.startswith(start))
                cost = add(rule)
                cost.bytes += groups * dimension * _FLOAT + 8 * (shape.vocabulary if shape else 0)
                if rule.startswith("group_kmeans") and shape:
                    pairs = shape.vocabulary * groups
                    cost.operations += kmeans["max_iterations"] * 2 * pairs * dimension
                if rule in _COUNTING and first("counts", recipe.backbone):
                    add("count_subwords").bytes += 8 * (shape.vocabulary if shape else 0)
        if recipe.is_pretrained and first(*model, "mlm"):
            cost = add("pretrain")
            cost.bytes += size
            cost.scratch = max(cost.scratch, _checkpoints(pretraining["training"], size))
            if shape is None:
                cost.unknown[f"backbone {recipe.backbone} has no `shape` yet"] += 1
            else:
                cost.operations += pretraining_operations(shape, groups, dimension, pretraining)


def _counts(folder: Path, dataset: Mapping[str, Any]) -> dict[str, float]:
    """The sizes of a dataset: counted where it is read already, else as its publishers say."""
    counts: dict[str, float] = dict(dataset.get("counts") or {})
    for split in ("train", "test", "passages"):
        file = folder / f"{split}.jsonl"
        if file.is_file():
            with file.open("rb") as lines:
                counts[split] = sum(1 for _ in lines)
    return counts


def measured_throughput(seconds: float = 2.0) -> tuple[float, str]:
    """Operations a second of large matrix products on this machine, and what they ran on."""
    import torch

    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    kind = torch.bfloat16 if cuda else torch.float32
    size = 8192 if cuda else 1024
    left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))

    def wait() -> None:
        if cuda:
            torch.cuda.synchronize()

    for _ in range(3):
        left @ right
    wait()
    start, products = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        left @ right
        wait()
        products += 1
    rate = products * 2 * size**3 / (time.perf_counter() - start)
    name = torch.cuda.get_device_name() if cuda else f"{torch.get_num_threads()} CPU threads"
    return rate, f"{name}, {str(kind).removeprefix('torch.')}"


def report(
    costs: Mapping[str, Cost],
    downloads: Mapping[str, Mapping[str, Any]],
    *,
    rate: float,
    utilisation: float,
    origin: str,
) -> str:
    """The plan as a page of text.

    Args:
        downloads: what comes over the network: name -> its entry, with ``size_mb`` where known.
        rate: operations a second of matrix products.
        utilisation: the share of it that trainings reach.
        origin: where the rate comes from.
    """
    lines = ["Jobs", f"  {'kind':22}{'jobs':>7} {'hours':>11} {'writes':>11}"]
    for rule, cost in costs.items():
        hours = cost.operations / (rate * utilisation) / 3600
        shown = f"{hours:,.1f}" if cost.operations else "-"
        written = _bytes(cost.bytes) if cost.bytes else "-"
        lines.append(f"  {rule:22}{cost.jobs:>7} {shown:>11} {written:>11}")
    total = sum(cost.operations for cost in costs.values())
    written = _bytes(sum(cost.bytes for cost in costs.values()))
    jobs = sum(cost.jobs for cost in costs.values())
    hours = total / (rate * utilisation) / 3600
    lines.append(f"  {'in all':22}{jobs:>7} {hours:>11,.1f} {written:>11}")
    lines += ["", f"  Hours are of one device at {rate / 1e12:.3g} TFLOP/s ({origin}), of which"]
    lines += [
        f"  {utilisation:.0%} is taken to be reached. Texts count at full length: an upper bound. What",
        "  shows none computes little, or not in matrix products (BM25, tokenising).",
    ]
    fetched = 1e6 * sum(spec.get("size_mb") or 0 for spec in downloads.values())
    kept = sum(cost.bytes for cost in costs.values())
    scratch = max((cost.scratch for cost in costs.values()), default=0.0)
    lines += ["", "Disk"]
    lines += [
        f"  {_bytes(fetched)} of downloads and {written} written, {_bytes(fetched + kept)} in all"
    ]
    if scratch:
        lines += [
            f"  and up to {_bytes(scratch)} for a job while it runs: checkpoints, BM25's index."
        ]
    lines += ["  Text that is not read yet is taken to be three times its packed files."]
    unknown = sum((cost.unknown for cost in costs.values()), Counter())
    if +unknown:
        lines += ["", "Not counted"]
        lines += [f"  {count} jobs: {reason}" for reason, count in sorted((+unknown).items())]
    lines += ["", "Downloads", *_download_lines(downloads)]
    return "\n".join(lines) + "\n"


def _download_lines(downloads: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    for name, spec in downloads.items():
        source = spec.get("hub") or spec.get("url") or spec.get("package")
        source = source or f"Zenodo {spec['zenodo']}"
        size = _rounded(spec["size_mb"]) if spec.get("size_mb") else "not known"
        yield f"  {name:22}{size:>12}  {source} ({spec.get('licence', 'licence: see the README')})"
    known = sum(spec.get("size_mb") or 0 for spec in downloads.values())
    missing = sum(not spec.get("size_mb") for spec in downloads.values())
    rest = f"  and {missing} of a size not known here" if missing else ""
    yield f"  {'in all':22}{_rounded(known):>12}{rest}"


def _rounded(megabytes: float) -> str:
    """A size that somebody said, with no more digits than it may have been said with."""
    return f"{megabytes / 1e3:,.1f} GB" if megabytes >= 999.5 else f"{megabytes:.3g} MB"


def _bytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
