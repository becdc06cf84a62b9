# Table 5 (paper, Appendix G), and whether the paper's orderings appear.
#
# consumes  results/scores/
# makes     results/table5.{csv,tex,html}, results/table5_by_language.csv,
#           results/table5_orderings.csv

TABLE5 = multiext("results/table5", ".csv", ".tex", ".html", "_by_language.csv")
TABLE5_ROWS = [row for row in EXPERIMENTS if row.table5]
# The orderings are of Figures 3 to 7; what other figures and tables add is compared there.
ORDERED_ROWS = [
    row
    for row in EXPERIMENTS
    if row.table5 or row.figure.startswith(tuple(f"figure{number}" for number in range(3, 8)))
]


rule table5:
    input:
        scores=score_files(TABLE5_ROWS),
        backbones=backbone_configs(TABLE5_ROWS),
    output:
        TABLE5,
    log:
        "results/logs/table5.log",
    benchmark:
        "results/benchmarks/table5.tsv"
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
        title=config["title"],
        code=code_digest("semantic_tokens.tables", "semantic_tokens.templates"),
    script:
        "../workflow/scripts/table5.py"


rule table5_orderings:
    input:
        scores=score_files(ORDERED_ROWS),
        backbones=backbone_configs(ORDERED_ROWS),
    output:
        "results/table5_orderings.csv",
    log:
        "results/logs/table5_orderings.log",
    benchmark:
        "results/benchmarks/table5_orderings.tsv"
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        rows=rows_as_params(ORDERED_ROWS),
        tasks=TASKS,
        seeds=config["seeds"],
        code=code_digest("semantic_tokens.orderings", "semantic_tokens.tables"),
    script:
        "../workflow/scripts/table5_orderings.py"


rule comparison:
    input:
        table="results/table5.csv",
        published=Path(workflow.basedir) / "config/paper_table5.csv",
    output:
        multiext("results/comparison", ".csv", ".html"),
    log:
        "results/logs/comparison.log",
    benchmark:
        "results/benchmarks/comparison.tsv"
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
        code=code_digest("semantic_tokens.comparison"),
    script:
        "../workflow/scripts/comparison.py"
