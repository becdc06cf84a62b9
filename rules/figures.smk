# The paper's figures, each as PDF and PNG. A figure whose experiments are not in the table of
# experiments is not made.
#
# consumes  results/scores/, results/baselines/; for Figures 8 and 13 results/groups/, embeddings
#           and lexicons; for pretraining's curves results/training/pretrain/;
#           results/group_quality.csv
# makes     results/figures/figure{2..13}.{pdf,png}, results/figures/controls.{pdf,png},
#           results/figures/pretraining_curves.{pdf,png}, results/figures/group_quality.{pdf,png}
from semantic_tokens.study.figures import by_grouping, curves, language_pairs

CURVES = {
    figure: shown
    for figure in [*(f"figure{number}" for number in (3, 4, 5, 6, 7, 9, 11, 12)), "controls"]
    if (shown := curves(figure, EXPERIMENTS)).series
}
# Figure 10: grouped alone and pretrained, as the oracle is; none without an oracle, or without two
# tasks of the kinds that are compared.
LANGUAGE_ROWS = [
    row
    for row in EXPERIMENTS
    if row.figure == "figure3"
    and row.recipe.grouping_method == "kmeans"
    and row.recipe.is_pretrained
    and reference_of_main(EXPERIMENTS)
    and language_pairs(config["tasks"][task]["kind"] for task in TASKS)
]
# The pretrained models, each once, less grouped ones first.
PRETRAINED = sorted(
    {row.recipe for row in EXPERIMENTS if row.recipe.is_pretrained}, key=by_grouping
)
# Figures 8 and 13: the aligned groups of full dimension at the smallest ratio.
ALIGNED = [row.recipe for row in EXPERIMENTS if row.figure == "figure4"]
INSPECTED = min(ALIGNED, key=lambda recipe: recipe.ratio) if ALIGNED else None


# Every figure that this table of experiments has the rows of.
DRAWN = ["figure2", *CURVES]
if LANGUAGE_ROWS:
    DRAWN.append("figure10")
if INSPECTED:
    DRAWN += ["figure8", "figure13"]
if MEASURED_GROUPS and MEASURED_LEXICONS:
    DRAWN.append("group_quality")
if PRETRAINED:
    DRAWN.append("pretraining_curves")
FIGURE_FILES = expand(own("results/figures/{figure}.{suffix}"), figure=DRAWN, suffix=["pdf", "png"])


rule figure_pipelines:
    output:
        own("results/figures/figure2.pdf"),
        in_report(own("results/figures/figure2.png"), caption="figure_pipelines"),
    log:
        own("results/logs/figure_pipelines.log"),
    benchmark:
        own("results/benchmarks/figure_pipelines.tsv")
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        rows=rows_as_params(EXPERIMENTS),
        code=code_digest(
            "semantic_tokens.report.figures.pipelines",
            "semantic_tokens.study.figures",
            "semantic_tokens.report.figures.style",
        ),
    script:
        "../workflow/scripts/figure_pipelines.py"


rule figure_curves:
    input:
        scores=lambda wildcards: score_files(
            CURVES[wildcards.figure].experiments, tasks_of_figure(wildcards.figure)
        ),
        scored_items=lambda wildcards: scored_item_files(
            CURVES[wildcards.figure].experiments, tasks_of_figure(wildcards.figure)
        ),
        baselines=lambda wildcards: baseline_files(tasks_of_figure(wildcards.figure)),
        backbones=lambda wildcards: backbone_configs(CURVES[wildcards.figure].experiments),
    output:
        own("results/figures/{figure}.pdf"),
        in_report(own("results/figures/{figure}.png"), caption="figure_curves"),
    log:
        own("results/logs/figure_curves/{figure}.log"),
    benchmark:
        own("results/benchmarks/figure_curves/{figure}.tsv")
    wildcard_constraints:
        figure="|".join(set(CURVES) - {"figure11"}) or "none-in-table",
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        shown=lambda wildcards: CURVES[wildcards.figure].as_dict(),
        rows=lambda wildcards: rows_as_params(CURVES[wildcards.figure].experiments),
        tasks=lambda wildcards: tasks_of_figure(wildcards.figure),
        seeds=config["seeds"],
        replicates=config["replicates"],
        resampling=config["significance"],
        code=code_digest(
            "semantic_tokens.report.figures.curves",
            "semantic_tokens.report.figures.style",
            "semantic_tokens.report.tables.table5",
            *BOOTSTRAP,
        ),
    script:
        "../workflow/scripts/figure_curves.py"


if MEASURED_GROUPS and MEASURED_LEXICONS:

    rule figure_group_quality:
        input:
            table=own("results/group_quality.csv"),
        output:
            own("results/figures/group_quality.pdf"),
            in_report(
                own("results/figures/group_quality.png"),
                caption="figure_group_quality",
                title="group quality over the ratio",
            ),
        log:
            own("results/logs/figure_group_quality.log"),
        benchmark:
            own("results/benchmarks/figure_group_quality.tsv")
        localrule: True
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            code=code_digest(
                "semantic_tokens.report.figures.group_quality",
                "semantic_tokens.study.figures",
                "semantic_tokens.report.figures.style",
            ),
        script:
            "../workflow/scripts/figure_group_quality.py"


if "figure11" in CURVES:

    rule figure_alignments:
        input:
            scores=score_files(CURVES["figure11"].experiments, tasks_of_figure("figure11")),
            scored_items=scored_item_files(
                CURVES["figure11"].experiments, tasks_of_figure("figure11")
            ),
            baselines=baseline_files(tasks_of_figure("figure11")),
        output:
            own("results/figures/figure11.pdf"),
            in_report(own("results/figures/figure11.png"), caption="figure_alignments"),
        log:
            own("results/logs/figure_alignments.log"),
        benchmark:
            own("results/benchmarks/figure_alignments.tsv")
        localrule: True
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            shown=CURVES["figure11"].as_dict(),
            rows=rows_as_params(CURVES["figure11"].experiments),
            tasks=tasks_of_figure("figure11"),
            seeds=config["seeds"],
            replicates=config["replicates"],
            resampling=config["significance"],
            code=code_digest(
                "semantic_tokens.report.figures.alignments",
                "semantic_tokens.report.figures.style",
                "semantic_tokens.report.tables.table5",
                *BOOTSTRAP,
            ),
        script:
            "../workflow/scripts/figure_alignments.py"


if LANGUAGE_ROWS:

    rule figure_languages:
        input:
            scores=score_files([reference_of_main(EXPERIMENTS), *LANGUAGE_ROWS]),
            scored_items=scored_item_files([reference_of_main(EXPERIMENTS), *LANGUAGE_ROWS]),
            baselines=baseline_files(TASKS),
        output:
            own("results/figures/figure10.pdf"),
            in_report(own("results/figures/figure10.png"), caption="figure_languages"),
        log:
            own("results/logs/figure_languages.log"),
        benchmark:
            own("results/benchmarks/figure_languages.tsv")
        localrule: True
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            rows=rows_as_params(LANGUAGE_ROWS),
            oracle=reference_of_main(EXPERIMENTS).as_dict(),
            tasks=TASKS,
            seeds=config["seeds"],
            replicates=config["replicates"],
            resampling=config["significance"],
            code=code_digest(
                "semantic_tokens.report.figures.languages",
                "semantic_tokens.study.figures",
                "semantic_tokens.report.figures.style",
                "semantic_tokens.report.tables.table5",
                *BOOTSTRAP,
            ),
        script:
            "../workflow/scripts/figure_languages.py"


if INSPECTED:

    rule figure_groups:
        input:
            groups=groups_file(INSPECTED),
            embeddings=embeddings_file(INSPECTED),
            tokenizer=located(f"results/backbones/{INSPECTED.backbone}/tokenizer.json"),
            lexicons=lexicon_files(INSPECTED.alignment_lexicons),
            fonts=located(
                expand("resources/wheels/{wheel}.whl", wheel=config["inspection"]["fonts"])
            ),
        output:
            own("results/figures/figure8.pdf"),
            in_report(own("results/figures/figure8.png"), caption="figure_groups"),
            own("results/figures/figure13.pdf"),
            in_report(own("results/figures/figure13.png"), caption="figure_groups"),
        log:
            own("results/logs/figure_groups.log"),
        benchmark:
            own("results/benchmarks/figure_groups.tsv")
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=minutes(20),
            gpu=0,
        params:
            keywords=config["inspection"]["keywords"],
            code=code_digest(
                "semantic_tokens.report.figures.groups",
                "semantic_tokens.report.figures.fonts",
                "semantic_tokens.report.figures.style",
                "semantic_tokens.grouping.inspection",
                "semantic_tokens.embeddings.alignment",
                "semantic_tokens.data.languages",
            ),
        script:
            "../workflow/scripts/figure_groups.py"


if PRETRAINED:

    rule figure_pretraining:
        input:
            steps=located(
                f"results/training/pretrain/{Path(recipe.path).parent}.steps.tsv"
                for recipe in PRETRAINED
            ),
        output:
            own("results/figures/pretraining_curves.pdf"),
            in_report(
                own("results/figures/pretraining_curves.png"),
                caption="figure_pretraining",
                title="pretraining's curves",
            ),
        log:
            own("results/logs/figure_pretraining.log"),
        benchmark:
            own("results/benchmarks/figure_pretraining.tsv")
        localrule: True
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            recipes=[recipe.path for recipe in PRETRAINED],
            code=code_digest(
                "semantic_tokens.report.figures.pretraining",
                "semantic_tokens.study.figures",
                "semantic_tokens.report.figures.style",
            ),
        script:
            "../workflow/scripts/figure_pretraining.py"
