# Repetitions of the whole pipeline, with seeds of their own in every step.
#
# consumes  results/backbones/{backbone}/
# makes     results/backbones/{backbone}.replicate-{replicate}/   the same files, linked
#
# From there on a replicate is made as another backbone is, and text that is cut already is shared.


if config["replicates"] > 1:

    rule replicate_backbone:
        input:
            shared(
                multiext(
                    "results/backbones/{backbone}/",
                    "config.json",
                    "model.safetensors",
                    "tokenizer.json",
                    "tokenizer_config.json",
                )
            ),
        output:
            multiext(
                "results/{run_folder}backbones/{backbone}.replicate-{replicate}/",
                "config.json",
                "model.safetensors",
                "tokenizer.json",
                "tokenizer_config.json",
            ),
        log:
            "results/{run_folder}logs/replicate_backbone/{backbone}.replicate-{replicate}.log",
        benchmark:
            "results/{run_folder}benchmarks/replicate_backbone/{backbone}.replicate-{replicate}.tsv"
        wildcard_constraints:
            replicate=r"\d+",
        localrule: True
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=100,
            runtime=10,
            gpu=0,
        script:
            "../workflow/scripts/replicate_backbone.py"
