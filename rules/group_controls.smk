# Groupings that ignore meaning: First-k, random, by frequency (paper, section 4.1).
#
# reads     results/embeddings/, results/groups/…/kmeans-cosine-{ratio}.safetensors
# writes    results/groups/{backbone}/{alignment}/{dimension}/{grouping}.safetensors
from semantic_tokens.study.recipe import ratio_of


rule group_random:
    input:
        embeddings=shared("results/embeddings/{backbone}/{alignment}/{dimension}.safetensors"),
        tokenizer=shared("results/backbones/{backbone}/tokenizer.json"),
        kmeans=groups_of_same_sizes,
    output:
        groups=f"results/{{run_folder}}groups/{GROUPS}.safetensors",
    log:
        f"results/{{run_folder}}logs/group_random/{GROUPS}.log",
    benchmark:
        f"results/{{run_folder}}benchmarks/group_random/{GROUPS}.tsv"
    wildcard_constraints:
        grouping=r"random-.+",
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        seed=lambda wildcards: own_seeds(config["grouping"]["random"], wildcards)["seed"],
        cluster_unused=config["grouping"]["cluster_unused"],
        embedding=lambda wildcards: own_seeds(config["grouping"]["embedding"], wildcards),
        code=code_digest("group_random"),
    script:
        "../workflow/scripts/group_random.py"


rule group_by_frequency:
    input:
        embeddings=shared("results/embeddings/{backbone}/{alignment}/{dimension}.safetensors"),
        tokenizer=shared("results/backbones/{backbone}/tokenizer.json"),
        kmeans=groups_of_same_sizes,
        counts=subword_counts,
    output:
        groups=f"results/{{run_folder}}groups/{GROUPS}.safetensors",
    log:
        f"results/{{run_folder}}logs/group_by_frequency/{GROUPS}.log",
    benchmark:
        f"results/{{run_folder}}benchmarks/group_by_frequency/{GROUPS}.tsv"
    wildcard_constraints:
        grouping=r"frequency-.+",
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        cluster_unused=config["grouping"]["cluster_unused"],
        embedding=lambda wildcards: own_seeds(config["grouping"]["embedding"], wildcards),
        code=code_digest("group_by_frequency"),
    script:
        "../workflow/scripts/group_by_frequency.py"


rule group_first_k:
    input:
        embeddings=shared("results/embeddings/{backbone}/{alignment}/{dimension}.safetensors"),
        tokenizer=shared("results/backbones/{backbone}/tokenizer.json"),
    output:
        groups=f"results/{{run_folder}}groups/{GROUPS}.safetensors",
    log:
        f"results/{{run_folder}}logs/group_first_k/{GROUPS}.log",
    benchmark:
        f"results/{{run_folder}}benchmarks/group_first_k/{GROUPS}.tsv"
    wildcard_constraints:
        grouping=r"firstk-.+",
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        ratio=lambda wildcards: ratio_of(wildcards.grouping),
        code=code_digest("group_first_k"),
    script:
        "../workflow/scripts/group_first_k.py"
