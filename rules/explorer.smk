# The explorer: an offline page that looks words up in the main backbone's groups. It is not made if the
# table of experiments has no such groups.
#
# reads     results/groups/, embeddings and lexicons of the main backbone
# writes    results/explorer.html
from semantic_tokens.study.recipe import lexicons_of

if EXPLORED:

    rule explorer:
        input:
            groups=[groups_file(recipe) for recipe in EXPLORED],
            embeddings=list(dict.fromkeys(embeddings_file(recipe) for recipe in EXPLORED)),
            tokenizer=located(f"results/backbones/{EXPLORED[0].backbone}/tokenizer.json"),
            lexicons=lexicon_files(
                sorted(
                    {
                        name
                        for r in EXPLORED
                        for name in (*r.alignment_lexicons, *lexicons_of(r.grouping))
                    }
                )
            ),
        output:
            in_report(own("results/explorer.html")),
        log:
            own("results/logs/explorer.log"),
        benchmark:
            own("results/benchmarks/explorer.tsv")
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
            runtime=minutes(60),
            gpu=0,
        params:
            recipes=[r.path for r in EXPLORED],
            title=config["title"],
            keywords=config["inspection"]["keywords"],
            code=code_digest("explorer"),
        script:
            "../workflow/scripts/explorer.py"
