# What the rows of Table 5 take, before any of it starts.
#
# prints it, and keeps it as results/plan.txt


rule plan:
    # Without an output or a benchmark, so that it is shown whenever it is asked for.
    log:
        own("results/logs/plan.log"),
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        study=plan_study(TABLE5_ROWS),
        downloads=plan_downloads(TABLE5_ROWS),
        throughput=config["throughput"],
        page=PREFIX + own("results/plan.txt"),
        results=f"{PREFIX}results",
    script:
        "../workflow/scripts/plan.py"
