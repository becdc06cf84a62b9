# What the rows of Table 5 take, or all experiments if `planned` says so, before any of it starts,
# and what a budget buys of them.
#
# prints it, and keeps it as results/plan.txt; with a `budget` that does not pay for all of it also
# makes     results/budget/experiments.tsv, results/budget/config.yaml


PLANNED_ROWS = TABLE5_ROWS if config["planned"] == "table5" else EXPERIMENTS


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
        study=plan_study(PLANNED_ROWS),
        rows=rows_as_params(PLANNED_ROWS),
        downloads=plan_downloads(PLANNED_ROWS),
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
        # This run's own folder, and those of the runs that it is based on.
        results=[f"{PREFIX}results/{folder}" for folder in reversed(LAYOUT.folders)],
    script:
        "../workflow/scripts/plan.py"
