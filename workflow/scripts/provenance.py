"""Record the provenance of the results."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.json_files import write_json
    from semantic_tokens.report.provenance import provenance, write_provenance_page

    # Only this step receives the entire configuration, because it records it.
    made_by = provenance(snakemake.params.configuration, snakemake.input.sources)
    write_json(made_by, snakemake.output[0])
    write_provenance_page(made_by, snakemake.output[1])
