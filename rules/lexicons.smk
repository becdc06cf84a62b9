# Bilingual dictionaries and concept lists (paper, section 2.2; Appendix B).
#
# writes    results/lexicons/{lexicon}.tsv   concept, language, word, source
from semantic_tokens.study.ingredients import reading_spec


rule read_lexicon:
    input:
        wheel=lambda wildcards: wheel_of(config["lexicons"][wildcards.lexicon]),
        path=lambda wildcards: path_of(config["lexicons"][wildcards.lexicon]),
        download=lambda wildcards: downloads_of(config["lexicons"][wildcards.lexicon]),
    output:
        "results/{run_folder}lexicons/{lexicon}.tsv",
    log:
        "results/{run_folder}logs/read_lexicon/{lexicon}.log",
    benchmark:
        "results/{run_folder}benchmarks/read_lexicon/{lexicon}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["data"]),
        runtime=minutes(config["runtime_minutes"]["data"]),
        gpu=0,
    params:
        spec=lambda wildcards: reading_spec(config["lexicons"][wildcards.lexicon]),
        code=code_digest("read_lexicon"),
    script:
        "../workflow/scripts/read_lexicon.py"
