"""Tokenise a corpus into full sequences for one backbone and segmentation."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from safetensors.numpy import save_file

    from semantic_tokens.files import read_jsonl, whole
    from semantic_tokens.tokenization import load_tokenizer, pack_corpus

    packed = pack_corpus(
        read_jsonl(snakemake.input.corpus),  # noqa: F821
        load_tokenizer(snakemake.input.tokenizer),  # noqa: F821
        sequence_length=snakemake.params.sequence_length,  # noqa: F821
    )
    with whole(snakemake.output[0]) as partial:  # noqa: F821
        save_file(packed, partial)
