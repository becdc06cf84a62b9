# Digests of code. A rule has the digest of its script's code as a parameter, so its jobs run again when
# this code changes. The code is determined from the imports of the script.

#: Modules of which a job uses only some, depending on the kind of task or the reader.
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
            "xnli_sentences",
        )
    ),
    "data.miniature",
]
DATASET_READERS = ["data.datasets", "data.miniature"]


def code_digest(script, choices=(), chosen=()):
    """A short digest of the code of a script; see semantic_tokens.study.code.

    It is computed only if a job needs it."""
    return lambda wildcards: CODE.digest(script, choices, chosen)


def corpus_code(wildcards):
    """The digest of the code that reads this corpus."""
    reader = config["corpora"][wildcards.corpus]["reader"]
    modules = {"miniature": "data.miniature"}
    modules |= dict.fromkeys(("django", "chatterbot"), "data.corpora.packages")
    modules |= dict.fromkeys(("hf", "wikipedia"), "data.corpora.hub")
    used = modules.get(reader, f"data.corpora.{reader}")
    return CODE.digest("read_corpus", CORPUS_READERS, [used])


def dataset_code(wildcards):
    """The digest of the code that generates or reads this dataset."""
    reader = config["datasets"][wildcards.dataset]["reader"]
    used = "data.miniature" if reader == "miniature" else "data.datasets"
    return CODE.digest("read_dataset", DATASET_READERS, [used])


def task_code(wildcards):
    """The digest of the code that trains and evaluates this kind of task."""
    kind = config["tasks"][wildcards.task]["kind"]
    return CODE.digest("fine_tune", KINDS_OF_TASKS, [f"tasks.{kind}"])
