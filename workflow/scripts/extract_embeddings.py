"""Extract the word embeddings of a backbone."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.embeddings.matrix import save_embeddings
    from semantic_tokens.modeling.encoders import read_embeddings
    from semantic_tokens.tokenization.vocabulary import load_tokenizer, vocabulary_size

    subwords = vocabulary_size(load_tokenizer(snakemake.input.tokenizer))
    embeddings = read_embeddings(Path(snakemake.input.model).parent, subwords)
    save_embeddings(embeddings, snakemake.output.embeddings)
