"""Record what made the results."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.files import write_json
    from semantic_tokens.provenance import provenance, write_provenance_page

    # The one step that sees the configuration as a whole: it writes it down. It is no parameter,
    # for what no result depends on makes this file stale no more than the results.
    made_by = provenance(snakemake.config, snakemake.input.sources)  # noqa: F821
    write_json(made_by, snakemake.output[0])  # noqa: F821
    write_provenance_page(made_by, snakemake.output[1])  # noqa: F821
