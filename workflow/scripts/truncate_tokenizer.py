"""Make the tokenizer that knows the first k subwords alone (paper, section 2.1)."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.files import whole
    from semantic_tokens.vocabulary import first_k_ids, truncate_tokenizer, vocabulary_size

    tokenizer = Path(snakemake.input.tokenizer).read_text(encoding="utf-8")  # noqa: F821
    k = round(snakemake.params.ratio * vocabulary_size(tokenizer))  # noqa: F821
    with whole(snakemake.output.tokenizer) as partial:  # noqa: F821
        partial.write_text(
            truncate_tokenizer(tokenizer, first_k_ids(tokenizer, k)), encoding="utf-8"
        )
