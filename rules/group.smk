# Semantic grouping (paper, section 2.1; Appendices E and F), and the model that it makes.
#
# consumes  results/embeddings/{backbone}/{alignment}/{dimension}.safetensors
# makes     results/groups/{backbone}/{alignment}/{dimension}/{grouping}.safetensors
#           results/models/{backbone}/{alignment}/{dimension}/{grouping}/asis/

GROUPS = "{backbone}/{alignment}/{dimension}/{grouping}"


rule group_kmeans:
    input:
        embeddings="results/embeddings/{backbone}/{alignment}/{dimension}.safetensors",
        tokenizer="results/backbones/{backbone}/tokenizer.json",
    output:
        groups=f"results/groups/{GROUPS}.safetensors",
    log:
        f"results/logs/group_kmeans/{GROUPS}.log",
    benchmark:
        f"results/benchmarks/group_kmeans/{GROUPS}.tsv"
    wildcard_constraints:
        grouping=r"kmeans-.+",
    conda:
        "../envs/gpu.yaml" if config["gpus_per_job"] else "../envs/cpu.yaml"
    resources:
        mem_mb=growing(config["memory_mb"]["backbones"]),
        runtime=growing(config["runtime_minutes"]["backbones"]),
        gpu=config["gpus_per_job"],
    params:
        metric=lambda wildcards: wildcards.grouping.split("-")[1],
        ratio=lambda wildcards: ratio_of(wildcards.grouping),
        keep_unused_alone=config["grouping"]["keep_unused_alone"],
        options=lambda wildcards: own_seeds(config["grouping"]["kmeans"], wildcards),
        code=code_digest(
            "semantic_tokens.grouping.kmeans",
            "semantic_tokens.grouping.groups",
            "semantic_tokens.vocabulary",
        ),
    script:
        "../workflow/scripts/group_kmeans.py"


rule group_first_k:
    input:
        embeddings="results/embeddings/{backbone}/{alignment}/{dimension}.safetensors",
        tokenizer="results/backbones/{backbone}/tokenizer.json",
    output:
        groups=f"results/groups/{GROUPS}.safetensors",
    log:
        f"results/logs/group_first_k/{GROUPS}.log",
    benchmark:
        f"results/benchmarks/group_first_k/{GROUPS}.tsv"
    wildcard_constraints:
        grouping=r"firstk-.+",
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=growing(config["memory_mb"]["backbones"]),
        runtime=growing(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        ratio=lambda wildcards: ratio_of(wildcards.grouping),
        code=code_digest(
            "semantic_tokens.grouping.first_k",
            "semantic_tokens.grouping.groups",
            "semantic_tokens.vocabulary",
        ),
    script:
        "../workflow/scripts/group_first_k.py"


rule group_by_lexicon:
    input:
        embeddings="results/embeddings/{backbone}/{alignment}/{dimension}.safetensors",
        tokenizer="results/backbones/{backbone}/tokenizer.json",
        lexicons=lambda wildcards: expand(
            "results/lexicons/{lexicon}.tsv", lexicon=lexicons_of(wildcards.grouping)
        ),
    output:
        groups=f"results/groups/{GROUPS}.safetensors",
    log:
        f"results/logs/group_by_lexicon/{GROUPS}.log",
    benchmark:
        f"results/benchmarks/group_by_lexicon/{GROUPS}.tsv"
    wildcard_constraints:
        grouping=r"lexicon-.+",
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=growing(config["memory_mb"]["backbones"]),
        runtime=growing(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        code=code_digest(
            "semantic_tokens.alignment",
            "semantic_tokens.lexicons.table",
            "semantic_tokens.grouping.lexicon_components",
            "semantic_tokens.grouping.groups",
            "semantic_tokens.vocabulary",
        ),
    script:
        "../workflow/scripts/group_by_lexicon.py"


rule leave_ungrouped:
    input:
        embeddings="results/embeddings/{backbone}/{alignment}/{dimension}.safetensors",
    output:
        groups="results/groups/{backbone}/{alignment}/{dimension}/ungrouped.safetensors",
    log:
        "results/logs/leave_ungrouped/{backbone}/{alignment}/{dimension}.log",
    benchmark:
        "results/benchmarks/leave_ungrouped/{backbone}/{alignment}/{dimension}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=growing(config["memory_mb"]["backbones"]),
        runtime=growing(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        code=code_digest("semantic_tokens.grouping.groups"),
    script:
        "../workflow/scripts/leave_ungrouped.py"


rule assemble_model:
    input:
        backbone=multiext("results/backbones/{backbone}/", "config.json", "model.safetensors"),
        groups=f"results/groups/{GROUPS}.safetensors",
    output:
        multiext(f"results/models/{GROUPS}/asis/", "config.json", "model.safetensors"),
    log:
        f"results/logs/assemble_model/{GROUPS}.log",
    benchmark:
        f"results/benchmarks/assemble_model/{GROUPS}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=growing(config["memory_mb"]["backbones"]),
        runtime=growing(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        code=code_digest("semantic_tokens.model"),
    script:
        "../workflow/scripts/assemble_model.py"
