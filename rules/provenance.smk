# What made the results.
#
# consumes  every result, to be made again with it; every file from outside, for its checksum
# makes     results/provenance.{json,html}

RESULTS = [
    *TABLE_FILES,
    *FIGURE_FILES,
    *EXPLORER,
    # What no figure shows is an experiment all the same.
    *unshown_scores(EXPERIMENTS),
]
PROVENANCE = multiext(own("results/provenance"), ".json", ".html")


rule provenance:
    input:
        results=RESULTS,
        sources=source_files(EXPERIMENTS),
    output:
        own("results/provenance.json"),
        in_report(own("results/provenance.html"), title="configuration and versions"),
    log:
        own("results/logs/provenance.log"),
    benchmark:
        own("results/benchmarks/provenance.tsv")
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=config["runtime_minutes"]["data"],
        gpu=0,
    params:
        # What no result depends on makes this file stale no more than the results.
        configuration=unrecorded(config),
        code=code_digest("provenance"),
    script:
        "../workflow/scripts/provenance.py"
