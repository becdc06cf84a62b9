# Digests of the code that makes a file: a parameter of the rule, so that a job runs again when that
# code changes. Which code that is, is read from the imports of its script.

#: Modules of which one is used for each kind of task, or reader of a corpus or dataset.
KINDS_OF_TASKS = [
    f"tasks.{kind}"
    for kind in (
        "pair_classification",
        "question_answering",
        "reranking",
        "retrieval",
        "token_classification",
    )
]
CORPUS_READERS = [
    *(
        f"data.corpora.{module}"
        for module in (
            "conll_sentences",
            "emoji_names",
            "hub",
            "packages",
            "squad_contexts",
            "text",
        )
    ),
    "data.miniature",
]
DATASET_READERS = ["data.datasets", "data.miniature"]


def code_digest(script, choices=(), chosen=()):
    """A short digest of what a script imports of the package; see semantic_tokens.study.code.

    It is computed where a job is asked for."""
    return lambda wildcards: CODE.digest(script, choices, chosen)


def corpus_code(wildcards):
    """The digest of what reads this corpus."""
    reader = config["corpora"][wildcards.corpus]["reader"]
    modules = {"miniature": "data.miniature"}
    modules |= dict.fromkeys(("django", "chatterbot"), "data.corpora.packages")
    modules |= dict.fromkeys(("hf", "wikipedia"), "data.corpora.hub")
    used = modules.get(reader, f"data.corpora.{reader}")
    return CODE.digest("read_corpus", CORPUS_READERS, [used])


def dataset_code(wildcards):
    """The digest of what makes this dataset: the generator, or the readers."""
    reader = config["datasets"][wildcards.dataset]["reader"]
    used = "data.miniature" if reader == "miniature" else "data.datasets"
    return CODE.digest("read_dataset", DATASET_READERS, [used])


def task_code(wildcards):
    """The digest of what trains and scores this kind of task."""
    kind = config["tasks"][wildcards.task]["kind"]
    return CODE.digest("fine_tune", KINDS_OF_TASKS, [f"tasks.{kind}"])
