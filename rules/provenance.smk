# The provenance of the results.
#
# reads     all results, so that it is made after them; all external files, for their checksums
# writes    results/provenance.{json,html}

RESULTS = [
    *TABLE_FILES,
    *FIGURE_FILES,
    *EXPLORER,
    # Includes experiments that no figure shows.
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
        # Parameters without an effect on results do not make this file stale either.
        configuration=unrecorded(config),
        code=code_digest("provenance"),
    script:
        "../workflow/scripts/provenance.py"
