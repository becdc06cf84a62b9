# The paths of files in the run without a name. A named run has its own files in its folder.
from dataclasses import replace

from semantic_tokens.study.replicates import in_replicate, split_replicate


def own(path):
    """The path of a file that belongs to the run, from its path in the run without a name."""
    return LAYOUT.own(path)


def located(paths):
    """The path (or paths) of shared files, in this run or in the run that makes the same files.

    The arguments are paths in the run without a name. docs/decisions.md says which files are shared.
    """
    return LAYOUT.shared(paths) if isinstance(paths, str) else list(map(LAYOUT.shared, paths))


def shared(patterns):
    """The same for patterns with wildcards, as an input function."""

    def files(wildcards):
        if isinstance(patterns, str):
            return located(patterns.format(**wildcards))
        return located(pattern.format(**wildcards) for pattern in patterns)

    return files


def groups_file(recipe):
    """The groups of a recipe."""
    return located(f"results/groups/{recipe.groups_path}.safetensors")


def embeddings_file(recipe):
    """The embeddings that a recipe groups."""
    path = f"{recipe.backbone}/{recipe.alignment}/{recipe.dimension}"
    return located(f"results/embeddings/{path}.safetensors")


def lexicon_files(names):
    """The tables of lexicons. Round trips have no table, since they use the words of the others."""
    return located(f"results/lexicons/{name}.tsv" for name in names if name != "roundtrip")


def backbone_configs(rows):
    return located(sorted({f"results/backbones/{row.recipe.backbone}/config.json" for row in rows}))


def original(backbone):
    """The backbone of a replicate."""
    return split_replicate(backbone)[0]


def replicates_of(recipe):
    """Every replicate of a recipe, with its number."""
    return [
        (number, replace(recipe, backbone=in_replicate(recipe.backbone, number)))
        for number in range(1, config["replicates"] + 1)
    ]


def groups_of_same_sizes(wildcards):
    """The K-Means groups with the sizes for a control: with the same embeddings and ratio."""
    folder = f"results/groups/{wildcards.backbone}/{wildcards.alignment}/{wildcards.dimension}"
    return located(f"{folder}/kmeans-cosine-{wildcards.grouping.rpartition('-')[2]}.safetensors")


def subword_counts(wildcards):
    """The subword counts of the corpora, which replicates share."""
    backbone = original(wildcards.backbone)
    return located(f"results/tokenized/{backbone}/original/subword_counts.safetensors")
