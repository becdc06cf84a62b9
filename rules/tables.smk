# The paper's tables, what stands beside them, and what the paper lacks.
#
# consumes  results/scores/, results/baselines/, results/datasets/, results/efficiency/, results/groups/
# makes     results/table{1..5}*, results/claims.{csv,html}, results/controls.{csv,html},
#           results/comparison.{csv,html},
#           results/significance.{csv,html}, results/group_quality.{csv,html}
from semantic_tokens.study.figures import controlled, main_backbone, reference_of_main
from semantic_tokens.study.measured_groupings import groupings_to_measure

# How every page is written.
PAGES = ("semantic_tokens.report.pages", "semantic_tokens.report.templates")
# How scores get their intervals.
BOOTSTRAP = (
    "semantic_tokens.evaluation.bootstrap",
    "semantic_tokens.study.replicates",
    "semantic_tokens.tasks.scored_items",
)

TABLE5 = multiext(
    own("results/table5"),
    ".csv",
    ".tex",
    ".html",
    "_by_language.csv",
    "_by_language.html",
    "_baselines.csv",
)
TABLE5_ROWS = [row for row in EXPERIMENTS if row.table5]
# Grouping by lexicon (Appendix F), scored on one task alone.
TABLE4_ROWS = [row for row in EXPERIMENTS if row.figure == "table4"]
TABLE4 = {"task": tasks_of_figure("table4")[0], **config["lexicon_comparison"]}
# Pretraining of the main backbone by dimension and ratio, each once, unaligned before aligned:
# where rows stand does not change what a step takes.
EFFICIENCY = {
    (recipe.dimension, recipe.ratio): recipe
    for recipe in sorted(
        (
            row.recipe
            for row in EXPERIMENTS
            if row.recipe.is_pretrained
            and row.recipe.backbone == main_backbone(EXPERIMENTS)
            and row.recipe.grouping.startswith(("ungrouped", "kmeans-cosine"))
        ),
        key=lambda recipe: (not recipe.is_aligned, recipe.path),
    )
}
# Everything that is pretrained, each once.
HELD_OUT = located(
    dict.fromkeys(
        f"results/held_out/{row.recipe.path.rpartition('/')[0]}.json"
        for row in EXPERIMENTS
        if row.recipe.is_pretrained
    )
)
# The main backbone's groups by K-Means and its controls, and the lexicons that its alignments
# train on.
MEASURED_GROUPS = [groups_file(recipe) for recipe in groupings_to_measure(EXPERIMENTS)]
MEASURED_LEXICONS = sorted(
    {
        name
        for row in EXPERIMENTS
        if row.recipe.backbone == main_backbone(EXPERIMENTS)
        for name in row.recipe.alignment_lexicons
    }
    - {"roundtrip"}
)
# What every task was fine-tuned on.
SCORED_ROWS = {
    task: [row for row in EXPERIMENTS if task in tasks_of_figure(row.figure)]
    for task in dict.fromkeys(task for row in EXPERIMENTS for task in tasks_of_figure(row.figure))
}

# The claims are of a main backbone, in percent of its oracle.
CLAIMED = reference_of_main(EXPERIMENTS)
# K-Means beside groupings that know nothing of meaning.
CONTROLLED = controlled(EXPERIMENTS) if CLAIMED else []

# Every table of this study; one whose experiments are not in the table of experiments is not made.
TABLE_FILES = [
    *multiext(own("results/table1"), ".csv", ".html", "_by_language.csv"),
    *multiext(own("results/table2"), ".csv", ".html"),
    *TABLE5,
    *multiext(own("results/comparison"), ".csv", ".html"),
    *multiext(own("results/significance"), ".csv", ".html"),
]
if CLAIMED:
    TABLE_FILES += multiext(own("results/claims"), ".csv", ".html")
if CONTROLLED:
    TABLE_FILES += multiext(own("results/controls"), ".csv", ".html")
if HELD_OUT:
    TABLE_FILES += [
        *multiext(own("results/held_out"), ".csv", ".html"),
        *multiext(own("results/figures/held_out"), ".pdf", ".png"),
    ]
if EFFICIENCY:
    TABLE_FILES += multiext(own("results/table3"), ".csv", ".html")
if TABLE4_ROWS:
    TABLE_FILES += multiext(own("results/table4"), ".csv", ".html")
if MEASURED_GROUPS and MEASURED_LEXICONS:
    TABLE_FILES += multiext(own("results/group_quality"), ".csv", ".html")


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
        code=code_digest("semantic_tokens.report.tables.table5", *BOOTSTRAP, *PAGES),
    script:
        "../workflow/scripts/table5.py"


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
            mem_mb=growing(4000),
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
            title=config["title"],
            code=code_digest(
                "semantic_tokens.evaluation.claims",
                "semantic_tokens.report.tables.claims",
                "semantic_tokens.report.tables.paper_comparison",
                "semantic_tokens.study.figures",
                *BOOTSTRAP,
                *PAGES,
            ),
        script:
            "../workflow/scripts/claims.py"


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
            code=code_digest(
                "semantic_tokens.report.tables.controls",
                "semantic_tokens.report.tables.table5",
                "semantic_tokens.study.figures",
                *BOOTSTRAP,
                *PAGES,
            ),
        script:
            "../workflow/scripts/controls.py"


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
        code=code_digest("semantic_tokens.report.tables.paper_comparison", *PAGES),
    script:
        "../workflow/scripts/comparison.py"


rule table1:
    input:
        **{
            dataset: [
                *located(f"results/datasets/{dataset}/{split}.jsonl" for split in SPLITS),
                *passages_files(dataset),
            ]
            for dataset in dict.fromkeys(config["tasks"][task]["dataset"] for task in TASKS)
        },
    output:
        own("results/table1.csv"),
        in_report(own("results/table1.html")),
        own("results/table1_by_language.csv"),
    log:
        own("results/logs/table1.log"),
    benchmark:
        own("results/benchmarks/table1.tsv")
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=minutes(240),
        gpu=0,
    params:
        tasks={
            task: {key: config["tasks"][task][key] for key in ("kind", "dataset")}
            for task in TASKS
        },
        evaluation_split=config["evaluation_split"],
        title=config["title"],
        code=code_digest("semantic_tokens.report.tables.tables1_to_4", *PAGES),
    script:
        "../workflow/scripts/table1.py"


rule table2:
    output:
        own("results/table2.csv"),
        in_report(own("results/table2.html")),
    log:
        own("results/logs/table2.log"),
    benchmark:
        own("results/benchmarks/table2.tsv")
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        tasks={
            task: {
                **shown_training(config["tasks"][task]),
                "options": config["tasks"][task]["options"],
                "tokenization": config["datasets"][config["tasks"][task]["dataset"]][
                    "tokenization"
                ],
            }
            for task in TASKS
        },
        pretraining={**config["pretraining"], **shown_training(config["pretraining"])},
        alignment=config["alignment"],
        seeds=config["seeds"],
        title=config["title"],
        code=code_digest("semantic_tokens.report.tables.tables1_to_4", *TRAINING, *PAGES),
    script:
        "../workflow/scripts/table2.py"


if EFFICIENCY:

    rule table3:
        input:
            efficiency=located(
                f"results/efficiency/{recipe.path.rpartition('/')[0]}.json"
                for recipe in EFFICIENCY.values()
            ),
            all_logits=located(
                f"results/efficiency/{recipe.path.rpartition('/')[0]}.all-logits.json"
                for recipe in EFFICIENCY.values()
            ),
            backbone=located(f"results/backbones/{main_backbone(EXPERIMENTS)}/config.json"),
        output:
            own("results/table3.csv"),
            in_report(own("results/table3.html")),
        log:
            own("results/logs/table3.log"),
        benchmark:
            own("results/benchmarks/table3.tsv")
        localrule: True
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            title=config["title"],
            code=code_digest("semantic_tokens.report.tables.tables1_to_4", *PAGES),
        script:
            "../workflow/scripts/table3.py"


if HELD_OUT:

    rule held_out:
        input:
            losses=HELD_OUT,
            backbones=backbone_configs([r for r in EXPERIMENTS if r.recipe.is_pretrained]),
        output:
            own("results/held_out.csv"),
            in_report(own("results/held_out.html"), title="loss on held-out text"),
            own("results/figures/held_out.pdf"),
            in_report(own("results/figures/held_out.png"), caption="held_out"),
        log:
            own("results/logs/held_out.log"),
        benchmark:
            own("results/benchmarks/held_out.tsv")
        localrule: True
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            backbone=main_backbone(EXPERIMENTS),
            resampling=config["significance"],
            title=config["title"],
            code=code_digest(
                "semantic_tokens.report.tables.held_out",
                "semantic_tokens.report.figures.held_out",
                "semantic_tokens.report.figures.style",
                "semantic_tokens.report.tables.table5",
                *BOOTSTRAP,
                *PAGES,
            ),
        script:
            "../workflow/scripts/held_out.py"


if TABLE4_ROWS:

    rule table4:
        input:
            scores=score_files(TABLE4_ROWS, [TABLE4["task"]]),
            scored_items=scored_item_files(TABLE4_ROWS, [TABLE4["task"]]),
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
            code=code_digest(
                "semantic_tokens.report.tables.tables1_to_4",
                "semantic_tokens.report.tables.table5",
                *BOOTSTRAP,
                *PAGES,
            ),
        script:
            "../workflow/scripts/table4.py"


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
        mem_mb=growing(4000),
        runtime=minutes(60),
        gpu=0,
    params:
        rows_by_task={task: rows_as_params(rows) for task, rows in SCORED_ROWS.items()},
        seeds=config["seeds"],
        replicates=config["replicates"],
        resampling=config["significance"],
        title=config["title"],
        code=code_digest("semantic_tokens.evaluation.significance", *BOOTSTRAP, *PAGES),
    script:
        "../workflow/scripts/significance.py"


if MEASURED_GROUPS and MEASURED_LEXICONS:

    rule group_quality:
        input:
            groups=MEASURED_GROUPS,
            tokenizer=located(f"results/backbones/{main_backbone(EXPERIMENTS)}/tokenizer.json"),
            lexicons=lexicon_files(MEASURED_LEXICONS),
        output:
            own("results/group_quality.csv"),
            in_report(own("results/group_quality.html"), title="groups and held-out translations"),
        log:
            own("results/logs/group_quality.log"),
        benchmark:
            own("results/benchmarks/group_quality.tsv")
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=minutes(30),
            gpu=0,
        params:
            held_out_fraction=config["alignment"]["held_out_fraction"],
            title=config["title"],
            code=code_digest(
                "semantic_tokens.grouping.quality",
                "semantic_tokens.grouping.groups",
                "semantic_tokens.data.lexicons.table",
                "semantic_tokens.grouping.inspection",
                "semantic_tokens.embeddings.alignment",
                *PAGES,
            ),
        script:
            "../workflow/scripts/group_quality.py"
