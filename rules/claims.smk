# Tests on scores: the paper's claims, significance of differences, and controls.
#
# reads     results/scores/, results/baselines/
# writes    results/{claims,significance,controls}.{csv,html}


if CLAIMED:

    rule claims:
        input:
            scored_items=[
                path
                for task, rows in SCORED_ROWS.items()
                for path in scored_item_files(rows, [task])
            ],
            baselines=baseline_files(SCORED_ROWS),
            backbone=located(f"results/backbones/{CLAIMED.recipe.backbone}/config.json"),
            published=local(workflow.source_path("../config/paper_table5.csv")),
        output:
            own("results/claims.csv"),
            in_report(own("results/claims.html"), title="the paper's claims"),
        log:
            own("results/logs/claims.log"),
        benchmark:
            own("results/benchmarks/claims.tsv")
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=scaled_by_attempt(4000),
            runtime=minutes(60),
            gpu=0,
        params:
            rows_by_task={task: rows_as_params(rows) for task, rows in SCORED_ROWS.items()},
            kinds={task: config["tasks"][task]["kind"] for task in SCORED_ROWS},
            oracle=CLAIMED.as_dict(),
            seeds=config["seeds"],
            replicates=config["replicates"],
            resampling=config["significance"],
            margin=config["claims"]["margin"],
            lexicon_language=TABLE4["language"],
            title=config["title"],
            code=code_digest("claims"),
        script:
            "../workflow/scripts/claims.py"


rule significance:
    input:
        scored_items=[
            path for task, rows in SCORED_ROWS.items() for path in scored_item_files(rows, [task])
        ],
    output:
        own("results/significance.csv"),
        in_report(own("results/significance.html")),
    log:
        own("results/logs/significance.log"),
    benchmark:
        own("results/benchmarks/significance.tsv")
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(4000),
        runtime=minutes(60),
        gpu=0,
    params:
        rows_by_task={task: rows_as_params(rows) for task, rows in SCORED_ROWS.items()},
        seeds=config["seeds"],
        replicates=config["replicates"],
        resampling=config["significance"],
        title=config["title"],
        code=code_digest("significance"),
    script:
        "../workflow/scripts/significance.py"


if CONTROLLED:

    rule controls:
        input:
            scores=score_files([CLAIMED, *CONTROLLED], tasks_of_figure("controls")),
            scored_items=scored_item_files([CLAIMED, *CONTROLLED], tasks_of_figure("controls")),
            baselines=baseline_files(tasks_of_figure("controls")),
            backbones=backbone_configs(CONTROLLED),
        output:
            own("results/controls.csv"),
            in_report(own("results/controls.html"), title="controls"),
        log:
            own("results/logs/controls.log"),
        benchmark:
            own("results/benchmarks/controls.tsv")
        localrule: True
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            rows=rows_as_params(CONTROLLED),
            oracle=CLAIMED.as_dict(),
            tasks=tasks_of_figure("controls"),
            seeds=config["seeds"],
            replicates=config["replicates"],
            resampling=config["significance"],
            title=config["title"],
            code=code_digest("controls"),
        script:
            "../workflow/scripts/controls.py"
