# The figures of operations, groups and pretraining, each as PDF, SVG and PNG.
#
# reads     results/groups/, results/embeddings/, results/lexicons/; results/training/pretrain/
# writes    results/figures/figure{2,8,13}.{pdf,svg,png}, results/figures/pretraining_curves.{pdf,svg,png}


rule figure_pipelines:
    output:
        own("results/figures/figure2.pdf"),
        own("results/figures/figure2.svg"),
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
        code=code_digest("figure_pipelines"),
    script:
        "../workflow/scripts/figure_pipelines.py"


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
            own("results/figures/figure8.svg"),
            in_report(own("results/figures/figure8.png"), caption="figure_groups"),
            own("results/figures/figure13.pdf"),
            own("results/figures/figure13.svg"),
            in_report(own("results/figures/figure13.png"), caption="figure_groups"),
        log:
            own("results/logs/figure_groups.log"),
        benchmark:
            own("results/benchmarks/figure_groups.tsv")
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=scaled_by_attempt(4000),
            runtime=minutes(20),
            gpu=0,
        params:
            keywords=config["inspection"]["keywords"],
            code=code_digest("figure_groups"),
        script:
            "../workflow/scripts/figure_groups.py"


if PRETRAINED:

    rule figure_pretraining:
        input:
            steps=located(
                f"results/training/pretrain/{recipe.groups_path}.steps.tsv"
                for recipe in PRETRAINED
            ),
        output:
            own("results/figures/pretraining_curves.pdf"),
            own("results/figures/pretraining_curves.svg"),
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
            code=code_digest("figure_pretraining"),
        script:
            "../workflow/scripts/figure_pretraining.py"
