# Quality of groups without a task: held-out translations, and the loss on held-out text.
#
# reads     results/groups/, results/lexicons/, results/held_out/
# writes    results/{group_quality,held_out}.{csv,html},
#           results/figures/{group_quality,held_out,held_out_by_language}.{pdf,svg,png}
from semantic_tokens.study.figures import main_backbone

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
            mem_mb=scaled_by_attempt(4000),
            runtime=minutes(30),
            gpu=0,
        params:
            held_out_fraction=config["alignment"]["held_out_fraction"],
            resampling=config["significance"],
            title=config["title"],
            code=code_digest("group_quality"),
        script:
            "../workflow/scripts/group_quality.py"

    rule figure_group_quality:
        input:
            table=own("results/group_quality.csv"),
        output:
            own("results/figures/group_quality.pdf"),
            own("results/figures/group_quality.svg"),
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
            code=code_digest("figure_group_quality"),
        script:
            "../workflow/scripts/figure_group_quality.py"


if HELD_OUT:

    rule held_out:
        input:
            losses=HELD_OUT,
            backbones=backbone_configs([r for r in EXPERIMENTS if r.recipe.is_pretrained]),
        output:
            table=own("results/held_out.csv"),
            page=in_report(own("results/held_out.html"), title="loss on held-out text"),
            by_ratio=[
                own("results/figures/held_out.pdf"),
                own("results/figures/held_out.svg"),
                in_report(own("results/figures/held_out.png"), caption="held_out"),
            ],
            by_language=[
                own("results/figures/held_out_by_language.pdf"),
                own("results/figures/held_out_by_language.svg"),
                in_report(
                    own("results/figures/held_out_by_language.png"),
                    caption="held_out_by_language",
                ),
            ],
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
            code=code_digest("held_out"),
        script:
            "../workflow/scripts/held_out.py"
