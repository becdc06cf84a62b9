# The plan: the estimated cost of Table 5 (or of all experiments, see `planned`), and the part of it
# that fits into a budget.
#
# prints the plan and writes it to results/plan.txt; if a `budget` is too small for everything, it also
# writes    results/budget/experiments.tsv, results/budget/config.yaml
#
# A named run has these files in its own folder.
rule plan:
    # Without output and benchmark, so that it always runs when it is requested.
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
        rows=list(map(planned_row, PLANNED_ROWS)),
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
        # The part belongs to this run, even if only the command line names the run.
        run_name={} if config["run"] == BASE else {"run": config["run"]},
        page=PREFIX + own("results/plan.txt"),
        results=PREFIX + own("results/"),
    script:
        "../workflow/scripts/plan.py"
