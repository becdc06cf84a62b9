# What comes over the network.
#
# makes     resources/wheels/{wheel}.whl


rule fetch_wheel:
    output:
        "resources/wheels/{wheel}.whl",
    log:
        "results/logs/fetch_wheel/{wheel}.log",
    benchmark:
        "results/benchmarks/fetch_wheel/{wheel}.tsv"
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=500,
        runtime=20,
        gpu=0,
    params:
        spec=lambda wildcards: config["wheels"][wildcards.wheel],
    script:
        "../workflow/scripts/fetch_wheel.py"
