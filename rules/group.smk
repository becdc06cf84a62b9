# Semantic grouping (paper, section 2.1; Appendices E and F).
#
# consumes  results/embeddings/{backbone}/{alignment}/{dimension}.safetensors,
#           results/tokenized/{backbone}/original/corpora/
# makes     results/groups/{backbone}/{alignment}/{dimension}/{grouping}.safetensors
#           results/tokenized/{backbone}/original/subword_counts.safetensors
#           results/exported/{recipe}/   the plain checkpoint of a model, on request


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
        mem_mb=growing(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=config["gpus_per_job"],
    params:
        metric=lambda wildcards: wildcards.grouping.split("-")[1],
        alpha=None,
        ratio=lambda wildcards: ratio_of(wildcards.grouping),
        keep_unused_alone=config["grouping"]["keep_unused_alone"],
        options=lambda wildcards: own_seeds(config["grouping"]["kmeans"], wildcards),
        code=code_digest(
            "semantic_tokens.grouping.kmeans",
            "semantic_tokens.grouping.groups",
            "semantic_tokens.tokenization.vocabulary",
        ),
    script:
        "../workflow/scripts/group_kmeans.py"


rule count_subwords:
    input:
        corpora=shared(
            expand(
                "results/tokenized/{{backbone}}/original/corpora/{corpus}.safetensors",
                corpus=config["pretraining"]["corpora"],
            )
        ),
    output:
        "results/{run_folder}tokenized/{backbone}/original/subword_counts.safetensors",
    log:
        "results/{run_folder}logs/count_subwords/{backbone}.log",
    benchmark:
        "results/{run_folder}benchmarks/count_subwords/{backbone}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=growing(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        code=code_digest("semantic_tokens.tokenization.subword_counts"),
    script:
        "../workflow/scripts/count_subwords.py"


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
        keep_unused_alone=config["grouping"]["keep_unused_alone"],
        options=lambda wildcards: own_seeds(config["grouping"]["kmeans"], wildcards),
        code=code_digest(
            "semantic_tokens.grouping.kmeans",
            "semantic_tokens.grouping.groups",
            "semantic_tokens.tokenization.subword_counts",
            "semantic_tokens.tokenization.vocabulary",
        ),


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
        mem_mb=growing(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        seed=lambda wildcards: own_seeds(config["grouping"]["random"], wildcards)["seed"],
        keep_unused_alone=config["grouping"]["keep_unused_alone"],
        code=code_digest(
            "semantic_tokens.grouping.controls",
            "semantic_tokens.grouping.groups",
            "semantic_tokens.tokenization.vocabulary",
        ),
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
        mem_mb=growing(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        keep_unused_alone=config["grouping"]["keep_unused_alone"],
        code=code_digest(
            "semantic_tokens.grouping.controls",
            "semantic_tokens.grouping.groups",
            "semantic_tokens.tokenization.subword_counts",
            "semantic_tokens.tokenization.vocabulary",
        ),
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
        mem_mb=growing(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        ratio=lambda wildcards: ratio_of(wildcards.grouping),
        code=code_digest(
            "semantic_tokens.grouping.first_k",
            "semantic_tokens.grouping.groups",
            "semantic_tokens.tokenization.vocabulary",
        ),
    script:
        "../workflow/scripts/group_first_k.py"


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
        mem_mb=growing(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        code=code_digest(
            "semantic_tokens.embeddings.alignment",
            "semantic_tokens.data.lexicons.table",
            "semantic_tokens.grouping.lexicon_components",
            "semantic_tokens.grouping.groups",
            "semantic_tokens.tokenization.vocabulary",
        ),
    script:
        "../workflow/scripts/group_by_lexicon.py"


rule export_model:
    # The plain checkpoint of any recipe, for transformers alone: ask for its folder.
    input:
        unpack(model_inputs),
        tokenizer=tokenizer_of_recipe,
    output:
        directory(own(f"results/exported/{RECIPE}")),
    log:
        own(f"results/logs/export_model/{RECIPE}.log"),
    benchmark:
        own(f"results/benchmarks/export_model/{RECIPE}.tsv")
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=growing(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        scores=PREFIX + own(f"results/scores/{RECIPE}"),
        code=code_digest(*MODELING),
    script:
        "../workflow/scripts/export_model.py"
