# The paper's figures of scores, each as PDF, SVG and PNG.
#
# reads     results/scores/, results/baselines/
# writes    results/figures/figure{3..7,9..12}.{pdf,svg,png}, results/figures/controls.{pdf,svg,png}
from semantic_tokens.study.figures import reference_of_main


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
        own("results/figures/{figure}.svg"),
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
        is_by_lexicon=False,
        shown=lambda wildcards: CURVES[wildcards.figure].as_dict(),
        rows=lambda wildcards: rows_as_params(CURVES[wildcards.figure].experiments),
        tasks=lambda wildcards: tasks_of_figure(wildcards.figure),
        seeds=config["seeds"],
        replicates=config["replicates"],
        resampling=config["significance"],
        code=code_digest("figure_curves", DRAWINGS, ["report.figures.curves"]),
    script:
        "../workflow/scripts/figure_curves.py"


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
            own("results/figures/figure11.svg"),
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
            is_by_lexicon=True,
            shown=CURVES["figure11"].as_dict(),
            rows=rows_as_params(CURVES["figure11"].experiments),
            tasks=tasks_of_figure("figure11"),
            seeds=config["seeds"],
            replicates=config["replicates"],
            resampling=config["significance"],
            code=code_digest("figure_curves", DRAWINGS, ["report.figures.alignments"]),
        script:
            "../workflow/scripts/figure_curves.py"


if LANGUAGE_ROWS:

    rule figure_languages:
        input:
            scores=score_files([reference_of_main(EXPERIMENTS), *LANGUAGE_ROWS]),
            scored_items=scored_item_files([reference_of_main(EXPERIMENTS), *LANGUAGE_ROWS]),
            baselines=baseline_files(TASKS),
        output:
            own("results/figures/figure10.pdf"),
            own("results/figures/figure10.svg"),
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
            code=code_digest("figure_languages"),
        script:
            "../workflow/scripts/figure_languages.py"
