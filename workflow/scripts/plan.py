"""Print what a study takes before it starts."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.files import whole
    from semantic_tokens.plan import measured_throughput, plan, report

    params = snakemake.params  # noqa: F821
    costs = plan(results=Path(params.results), **params.study)
    given = params.throughput["tflops"]
    rate, origin = (given * 1e12, "given") if given else measured_throughput()
    page = report(
        costs,
        params.downloads,
        rate=rate,
        utilisation=params.throughput["utilisation"],
        origin=origin,
    )
    with whole(params.page) as partial:
        partial.write_text(page, encoding="utf-8")
    print(page)
