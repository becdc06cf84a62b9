# Dimension reduction (paper, section 2.3).
#
# reads     results/embeddings/{backbone}/{alignment}/dfull.safetensors
# writes    results/embeddings/{backbone}/{alignment}/d{dimension}.safetensors


rule reduce_dimension:
    input:
        embeddings=shared("results/embeddings/{backbone}/{alignment}/dfull.safetensors"),
    output:
        embeddings="results/{run_folder}embeddings/{backbone}/{alignment}/{dimension}.safetensors",
    log:
        "results/{run_folder}logs/reduce_dimension/{backbone}/{alignment}/{dimension}.log",
    benchmark:
        "results/{run_folder}benchmarks/reduce_dimension/{backbone}/{alignment}/{dimension}.tsv"
    wildcard_constraints:
        dimension=r"d\d+",
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        code=code_digest("reduce_dimension"),
    script:
        "../workflow/scripts/reduce_dimension.py"
