# What comes over the network.
#
# makes     resources/wheels/{wheel}.whl
#           resources/downloads/{download}/   a publisher's files, as it lays them out


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


rule fetch_download:
    output:
        directory("resources/downloads/{download}"),
    log:
        "results/logs/fetch_download/{download}.log",
    benchmark:
        "results/benchmarks/fetch_download/{download}.tsv"
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=config["runtime_minutes"]["data"],
        gpu=0,
    params:
        spec=lambda wildcards: download_spec(wildcards.download),
        # Outside the output, which Snakemake deletes when an interrupted job starts again.
        partial="resources/partial/{download}",
    script:
        "../workflow/scripts/fetch_download.py"
