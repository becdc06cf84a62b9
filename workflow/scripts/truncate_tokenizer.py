"""Make a tokenizer with only the first k subwords (paper, section 2.1)."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.files import atomic_folder
    from semantic_tokens.tokenization.vocabulary import (
        first_k_ids,
        load_tokenizer,
        number_of_subwords,
        truncate_tokenizer,
    )

    tokenizer = load_tokenizer(snakemake.input.tokenizer)
    k = round(snakemake.params.ratio * number_of_subwords(tokenizer))
    with atomic_folder(Path(snakemake.output[0]).parent) as partial:
        truncate_tokenizer(tokenizer, first_k_ids(tokenizer, k)).save_pretrained(partial)
