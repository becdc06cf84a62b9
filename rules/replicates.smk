# Repetitions of the entire pipeline, with different seeds in every step.
#
# reads     results/backbones/{backbone}/
# writes    results/backbones/{backbone}.replicate-{replicate}/   the same files, linked
#
# All later steps treat a replicate as another backbone. Tokenised text is shared.


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
