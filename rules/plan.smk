# What the rows of Table 5 take, before any of it starts, and what a budget buys of them.
#
# prints it, and keeps it as results/plan.txt; with a `budget` that does not pay for all of it also
# makes     results/budget/experiments.tsv, results/budget/config.yaml


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
        rows=rows_as_params(TABLE5_ROWS),
        downloads=plan_downloads(TABLE5_ROWS),
        throughput=config["throughput"],
        at_once=jobs_at_once(),
        budget=config["budget"],
        pool_depths=plan_pool_depths(),
        bought=[
            PREFIX + own("results/budget/experiments.tsv"),
            PREFIX + own("results/budget/config.yaml"),
        ],
        command=plan_command(),
        page=PREFIX + own("results/plan.txt"),
        results=f"{PREFIX}results",
    script:
        "../workflow/scripts/plan.py"
