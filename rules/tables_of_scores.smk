# The paper's Tables 4 and 5, and the comparison of Table 5 with the paper.
#
# reads     results/scores/, results/baselines/, results/groups/
# writes    results/table{4,5}*, results/comparison.{csv,html}


rule table5:
    input:
        scores=score_files(TABLE5_ROWS),
        scored_items=scored_item_files(TABLE5_ROWS),
        baselines=baseline_files(TASKS),
        chance=chance_files(TASKS),
        backbones=backbone_configs(TABLE5_ROWS),
    output:
        own("results/table5.csv"),
        own("results/table5.tex"),
        in_report(own("results/table5.html")),
        own("results/table5_by_language.csv"),
        in_report(own("results/table5_by_language.html"), "table5", title="table 5 by language"),
        own("results/table5_baselines.csv"),
    log:
        own("results/logs/table5.log"),
    benchmark:
        own("results/benchmarks/table5.tsv")
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        rows=rows_as_params(TABLE5_ROWS),
        tasks=TASKS,
        seeds=config["seeds"],
        replicates=config["replicates"],
        resampling=config["significance"],
        title=config["title"],
        code=code_digest("table5"),
    script:
        "../workflow/scripts/table5.py"


rule comparison:
    input:
        table=own("results/table5.csv"),
        published=local(workflow.source_path("../config/paper_table5.csv")),
    output:
        own("results/comparison.csv"),
        in_report(own("results/comparison.html"), title="beside the paper"),
    log:
        own("results/logs/comparison.log"),
    benchmark:
        own("results/benchmarks/comparison.tsv")
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        kinds={task: config["tasks"][task]["kind"] for task in TASKS},
        title=config["title"],
        same_data=config["data_of_the_paper"],
        code=code_digest("comparison"),
    script:
        "../workflow/scripts/comparison.py"


if TABLE4_ROWS:

    rule table4:
        input:
            scores=score_files(TABLE4_ROWS, [TABLE4["task"]]),
            scored_items=scored_item_files(TABLE4_ROWS, [TABLE4["task"]]),
            baselines=baseline_files([TABLE4["task"]]),
            groups=[
                groups_file(row.recipe)
                for row in TABLE4_ROWS
                if row.recipe.grouping != "ungrouped"
            ],
        output:
            own("results/table4.csv"),
            in_report(own("results/table4.html")),
        log:
            own("results/logs/table4.log"),
        benchmark:
            own("results/benchmarks/table4.tsv")
        localrule: True
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            rows=rows_as_params(TABLE4_ROWS),
            shown=TABLE4,
            seeds=config["seeds"],
            replicates=config["replicates"],
            resampling=config["significance"],
            title=config["title"],
            code=code_digest("table4"),
        script:
            "../workflow/scripts/table4.py"
