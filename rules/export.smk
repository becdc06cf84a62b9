# The plain checkpoint of any recipe, on request.
#
# reads     a backbone and its groups, or results/models/{groups}/mlm/
# writes    results/exported/{recipe}/


rule export_model:
    # The plain checkpoint of any recipe, for transformers; request its folder.
    input:
        unpack(model_inputs),
        tokenizer=tokenizer_of_recipe,
    output:
        directory(own(f"results/exported/{RECIPE}")),
    log:
        own(f"results/logs/export_model/{RECIPE}.log"),
    benchmark:
        own(f"results/benchmarks/export_model/{RECIPE}.tsv")
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        scores=PREFIX + own(f"results/scores/{RECIPE}"),
        code=code_digest("export_model"),
    script:
        "../workflow/scripts/export_model.py"
