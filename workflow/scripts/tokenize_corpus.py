"""Pack a corpus into full sequences for one backbone and segmentation."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake) as log:
    from semantic_tokens.json_files import read_jsonl
    from semantic_tokens.modeling.encoders import check_length
    from semantic_tokens.tokenization.examples import pack_corpus
    from semantic_tokens.tokenization.vocabulary import load_tokenizer

    length = snakemake.params.sequence_length
    check_length(Path(snakemake.input.model).parent, length, "pretraining.sequence_length")
    counts = pack_corpus(
        read_jsonl(snakemake.input.corpus),
        load_tokenizer(snakemake.input.tokenizer),
        snakemake.output[0],
        sequence_length=length,
    )
    for language, count in counts.items():
        log.info("%s: %d sequences", language, count)
