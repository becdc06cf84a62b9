"""The configuration keys for the resources that each rule requests."""

_BACKBONES = (
    "derive_backbone", "truncate_tokenizer", "extract_embeddings", "align", "reduce_dimension",
    "group_kmeans", "group_kmeans_weighted", "group_random", "group_by_frequency",
    "group_first_k", "group_by_lexicon", "count_subwords", "export_model",
)  # fmt: skip
_DATA = (
    "read_lexicon", "read_corpus", "read_dataset", "read_ranking_dataset",
    "tokenize_dataset", "tokenize_ranking", "tokenize_corpus", "baseline",
)  # fmt: skip
_RANKING = ("rank_bm25", "pool_passages")
_PRETRAINING = ("pretrain", "measure_pretraining")

#: Rule -> key below ``memory_mb``; other rules request a fixed amount.
MEMORY_KEY = {
    **dict.fromkeys((*_BACKBONES, "explorer"), "backbones"),
    **dict.fromkeys(_DATA, "data"),
    **dict.fromkeys(_RANKING, "ranking"),
    **dict.fromkeys((*_PRETRAINING, "fine_tune"), "training"),
}
#: Rule -> key below ``runtime_minutes``.
TIME_KEY = {
    **dict.fromkeys(_BACKBONES, "backbones"),
    **dict.fromkeys(_DATA, "data"),
    **dict.fromkeys(_RANKING, "ranking"),
    **dict.fromkeys(_PRETRAINING, "pretraining"),
    "fine_tune": "fine_tuning",
}
