# Grouping by K-Means and by lexicon (paper, section 2.1; Appendices E and F).
#
# reads     results/embeddings/{backbone}/{alignment}/{dimension}.safetensors,
#           results/tokenized/{backbone}/original/subword_counts.safetensors, results/lexicons/
# writes    results/groups/{backbone}/{alignment}/{dimension}/{grouping}.safetensors
from semantic_tokens.study.recipe import lexicons_of, ratio_of


rule group_kmeans:
    input:
        embeddings=shared("results/embeddings/{backbone}/{alignment}/{dimension}.safetensors"),
        tokenizer=shared("results/backbones/{backbone}/tokenizer.json"),
    output:
        groups=f"results/{{run_folder}}groups/{GROUPS}.safetensors",
    log:
        f"results/{{run_folder}}logs/group_kmeans/{GROUPS}.log",
    benchmark:
        f"results/{{run_folder}}benchmarks/group_kmeans/{GROUPS}.tsv"
    wildcard_constraints:
        grouping=r"kmeans-(cosine|euclidean)-.+",
    conda:
        "../envs/gpu.yaml" if config["gpus_per_job"] else "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=config["gpus_per_job"],
    params:
        metric=lambda wildcards: wildcards.grouping.split("-")[1],
        alpha=None,
        ratio=lambda wildcards: ratio_of(wildcards.grouping),
        cluster_unused=config["grouping"]["cluster_unused"],
        embedding=lambda wildcards: own_seeds(config["grouping"]["embedding"], wildcards),
        options=lambda wildcards: own_seeds(config["grouping"]["kmeans"], wildcards),
        # Only the weighted rule below needs counts.
        code=code_digest("group_kmeans", ["tokenization.subword_counts"]),
    script:
        "../workflow/scripts/group_kmeans.py"


use rule group_kmeans as group_kmeans_weighted with:
    input:
        embeddings=shared("results/embeddings/{backbone}/{alignment}/{dimension}.safetensors"),
        tokenizer=shared("results/backbones/{backbone}/tokenizer.json"),
        counts=subword_counts,
    log:
        f"results/{{run_folder}}logs/group_kmeans_weighted/{GROUPS}.log",
    benchmark:
        f"results/{{run_folder}}benchmarks/group_kmeans_weighted/{GROUPS}.tsv"
    wildcard_constraints:
        grouping=r"kmeans-weighted-.+",
    params:
        metric="cosine",
        alpha=config["grouping"]["kmeans_weighted"]["alpha"],
        ratio=lambda wildcards: ratio_of(wildcards.grouping),
        cluster_unused=config["grouping"]["cluster_unused"],
        embedding=lambda wildcards: own_seeds(config["grouping"]["embedding"], wildcards),
        options=lambda wildcards: own_seeds(config["grouping"]["kmeans"], wildcards),
        code=code_digest("group_kmeans"),


rule group_by_lexicon:
    input:
        embeddings=shared("results/embeddings/{backbone}/{alignment}/{dimension}.safetensors"),
        tokenizer=shared("results/backbones/{backbone}/tokenizer.json"),
        lexicons=lambda wildcards: lexicon_files(lexicons_of(wildcards.grouping)),
    output:
        groups=f"results/{{run_folder}}groups/{GROUPS}.safetensors",
    log:
        f"results/{{run_folder}}logs/group_by_lexicon/{GROUPS}.log",
    benchmark:
        f"results/{{run_folder}}benchmarks/group_by_lexicon/{GROUPS}.tsv"
    wildcard_constraints:
        grouping=r"lexicon-.+",
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        code=code_digest("group_by_lexicon"),
    script:
        "../workflow/scripts/group_by_lexicon.py"
