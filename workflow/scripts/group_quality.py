"""Measure groups on held-out translations, scripts and languages."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake) as log:
    import pandas as pd
    from tqdm import tqdm

    from semantic_tokens.data.lexicons.table import read_lexicon
    from semantic_tokens.grouping.groups import Groups
    from semantic_tokens.grouping.quality import held_out_pairs, labels_of_subwords, measured
    from semantic_tokens.report.pages import Section, write_csv, write_page
    from semantic_tokens.study.recipe import Recipe
    from semantic_tokens.tokenization.vocabulary import load_tokenizer, single_subword_id

    inputs, params, output = snakemake.input, snakemake.params, snakemake.output
    tokenizer = load_tokenizer(inputs.tokenizer)
    entries = [entry for path in inputs.lexicons for entry in read_lexicon(path)]
    known = {word: single_subword_id(tokenizer, word) for word in {e.word for e in entries}}
    pairs = held_out_pairs(entries, known.get, params.held_out_fraction)
    log.info("%d held-out pairs of %d subwords", len(pairs), len(set(pairs.ravel().tolist())))
    scripts, languages = labels_of_subwords(tokenizer, entries, known.get)
    lines = []
    for path in tqdm(list(map(Path, inputs.groups)), desc="measuring groups", unit="grouping"):
        identity = dict(zip(("backbone", "alignment", "dimension"), path.parts[-4:-1], strict=True))
        groups = Groups.load(path).token_to_group.numpy()
        numbers = measured(groups, pairs, scripts, languages)
        recipe = Recipe(**identity, grouping=path.stem)
        kind = {"method": recipe.grouping_without_ratio, "ratio": recipe.ratio}
        lines.append(identity | {"grouping": path.stem} | kind | numbers)
    order = ["alignment", "dimension", "method", "ratio"]
    table = pd.DataFrame(lines).sort_values(order, ascending=[False, False, True, False])
    shares = [c for c in table if pd.api.types.is_float_dtype(table[c]) and c != "ratio"]
    write_csv(table, output[0], dict.fromkeys(shares, ".5f"))
    write_page(
        output[1],
        f"Groups and held-out translations: {params.title}",
        [
            f"{len(pairs):,} translation pair{'s' * (len(pairs) != 1)} of single subwords, from "
            f"concepts that are held out of alignment ({params.held_out_fraction:.0%}), and in no "
            "other concept of these lexicons. together: the fraction of pairs in one group; by "
            "chance: with the pairs' words paired at random; at random: for any two subwords of the "
            "vocabulary. Groups of the methods random and frequency have the sizes of K-Means' "
            "groups.",
            "purity: in groups of two or more, the fraction of members with their group's most "
            "frequent script or language; by chance: with shuffled labels. Only letters have a "
            "script, and only the lexicons' words have languages. Round-trip pairs are found from "
            "embeddings, so a held-out pair may be among them.",
        ],
        [Section(table, formats=dict.fromkeys(shares, ".1%") | {"together_at_random": ".2%"})],
    )
