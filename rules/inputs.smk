# The inputs of a model and its tasks: tokenizers, corpora, groups, datasets and passages.
from semantic_tokens.study.ingredients import resegments, searched_passages
from semantic_tokens.study.recipe import segmentation_of


def dataset_kind(dataset):
    return config["datasets"][dataset]["kind"]


def datasets_of_kind(is_ranking):
    """A wildcard constraint for the names of ranking datasets, or of all others."""
    names = [n for n in config["datasets"] if (dataset_kind(n) == "ranking") == is_ranking]
    return "|".join(names) or "none-in-config"


def pool_of(dataset):
    """The options of a dataset's pool; None if the entire collection is searched."""
    return config["datasets"][dataset].get("pool")


def collection_of(task):
    """A description of the searched part of the collection; empty if the task searches all of it.

    BM25 ranks the entire collection, so a pool does not affect reranking."""
    spec = config["datasets"][config["tasks"][task]["dataset"]]
    found = {}
    if spec.get("pool") and config["tasks"][task]["kind"] == "retrieval":
        found["pool"] = spec["pool"]
    share = spec["options"].get("distractors", 1)
    if spec["reader"] in ("miracl", "msmarco") and share != 1:
        found["distractors"] = share
    return found


def searched_passages_file(dataset):
    """The passages that this dataset's queries search."""
    return located(searched_passages(config, dataset))


def collection_files(dataset):
    """The collection of a ranking dataset."""
    is_ranking = dataset_kind(dataset) == "ranking"
    return [located(f"results/datasets/{dataset}/passages.jsonl")] if is_ranking else []


def tokenizer_file(wildcards):
    """The tokenizer of this segmentation, with the backbone's ids."""
    return _tokenizer(wildcards.backbone, wildcards.segmentation)


def tokenizer_of_recipe(wildcards):
    """The tokenizer for the text of this recipe."""
    return _tokenizer(wildcards.backbone, segmentation(wildcards))


def _tokenizer(backbone, segmentation):
    if segmentation == "original":
        return located(f"results/backbones/{backbone}/tokenizer.json")
    return located(f"results/tokenizers/{original(backbone)}/{segmentation}/tokenizer.json")


def corpora_of_recipe(wildcards):
    """The tokenised corpora for the pretraining of this recipe."""
    folder = f"results/tokenized/{original(wildcards.backbone)}/{segmentation(wildcards)}/corpora"
    names = config["pretraining"]["corpora"]
    return located(f"{folder}/{corpus}.safetensors" for corpus in names)


def backbone_and_groups(wildcards):
    """The files of a model without continual pretraining, which is assembled when it is loaded."""
    backbone, alignment = wildcards.backbone, wildcards.alignment
    weights = multiext(f"results/backbones/{backbone}/", "config.json", "model.safetensors")
    files = {"model": located(weights)}
    if wildcards.grouping != "ungrouped":
        files["groups"] = [located(f"results/groups/{GROUPS.format(**wildcards)}.safetensors")]
    elif (alignment, wildcards.dimension) != ("unaligned", "dfull"):
        path = f"{backbone}/{alignment}/{wildcards.dimension}"
        files["embeddings"] = [located(f"results/embeddings/{path}.safetensors")]
    return files


def model_inputs(wildcards):
    """The files of this recipe's model."""
    if wildcards.pretraining == "asis":
        return backbone_and_groups(wildcards)
    return {"model": [located(f"results/models/{GROUPS.format(**wildcards)}/mlm")]}


def segmentation(wildcards):
    """The segmentation of this recipe."""
    return segmentation_of(wildcards.grouping, resegments=resegments(config))


def task_inputs(wildcards):
    """The data of a task, tokenised for this recipe."""
    dataset = config["tasks"][wildcards.task]["dataset"]
    ranking = dataset_kind(dataset) == "ranking"
    tables = SPLITS + ["passages"] if ranking else SPLITS
    backbone = original(wildcards.backbone)
    folder = f"results/tokenized/{backbone}/{segmentation(wildcards)}/{dataset}"
    files = {
        "tokenized": located(f"{folder}/{table}.parquet" for table in tables),
        "dataset": located(f"results/datasets/{dataset}/{split}.jsonl" for split in SPLITS),
    }
    if ranking:
        lists = (f"results/candidates/{dataset}/{split}.jsonl" for split in SPLITS)
        files["candidates"] = located(lists)
    return files
