# Dimension reduction (paper, section 2.3).
#
# consumes  results/embeddings/{backbone}/{alignment}/dfull.safetensors
# makes     results/embeddings/{backbone}/{alignment}/d{dimension}.safetensors


rule reduce_dimension:
    input:
        embeddings="results/embeddings/{backbone}/{alignment}/dfull.safetensors",
    output:
        embeddings="results/embeddings/{backbone}/{alignment}/{dimension}.safetensors",
    params:
        code=code_digest("semantic_tokens.reduction"),
    wildcard_constraints:
        dimension=r"d\d+",
    log:
        "results/logs/reduce_dimension/{backbone}/{alignment}/{dimension}.log",
    benchmark:
        "results/benchmarks/reduce_dimension/{backbone}/{alignment}/{dimension}.tsv"
    resources:
        mem_mb=4000,
        runtime=10,
        gpu=0,
    script:
        "../workflow/scripts/reduce_dimension.py"
