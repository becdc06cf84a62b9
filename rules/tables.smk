# The paper's Tables 1 to 3: tasks and datasets, training, efficiency.
#
# reads     results/datasets/, results/efficiency/
# writes    results/table{1..3}*
from semantic_tokens.study.figures import main_backbone


rule table1:
    input:
        **{
            dataset: [
                *located(f"results/datasets/{dataset}/{split}.jsonl" for split in SPLITS),
                *collection_files(dataset),
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
        mem_mb=scaled_by_attempt(1000),
        runtime=minutes(240),
        gpu=0,
    params:
        tasks={
            task: {key: config["tasks"][task][key] for key in ("kind", "dataset")}
            for task in TASKS
        },
        evaluation_split=config["evaluation_split"],
        title=config["title"],
        code=code_digest("table1"),
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
        code=code_digest("table2"),
    script:
        "../workflow/scripts/table2.py"


if EFFICIENCY:

    rule table3:
        input:
            masked_logits=located(
                f"results/efficiency/masked-logits/{recipe.groups_path}.json"
                for recipe in EFFICIENCY
            ),
            all_logits=located(
                f"results/efficiency/all-logits/{recipe.groups_path}.json" for recipe in EFFICIENCY
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
            code=code_digest("table3"),
        script:
            "../workflow/scripts/table3.py"
