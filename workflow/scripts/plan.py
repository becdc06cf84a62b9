"""Print the estimated cost of a study, and the part that fits into a budget."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.plan.throughput import Throughput, measured_rate, seconds_to_start

    params = snakemake.params
    given = dict(params.throughput)
    # This must come first: it is the time since the start of this process.
    start = given["seconds_per_job"]
    start = round(seconds_to_start(), 2) if start is None else start
    if given["tflops"]:
        rate, origin = given["tflops"] * 1e12, "given"
    else:
        rate, origin = measured_rate()

    from semantic_tokens.files import atomic_file
    from semantic_tokens.plan.budget import Budget, write_sub_study
    from semantic_tokens.plan.costs import costs_of
    from semantic_tokens.plan.finished_trainings import finished_trainings
    from semantic_tokens.plan.report import budget_lines, report
    from semantic_tokens.plan.study import Study

    results = Path(params.results)
    study = Study(results=results, **params.study)
    throughput = Throughput(
        rate=rate,
        origin=origin,
        utilisation=given["utilisation"],
        seconds_per_job=start,
        at_once=params.at_once,
        gpus_per_job=study.gpus_per_job,
        price_per_gpu_hour=given["price_per_gpu_hour"],
    )
    bought = []
    if params.budget is not None:
        budget = Budget(study, params.rows, throughput.hours, params.budget, params.pool_depths)
        found = budget.largest()
        if found and not budget.is_complete(found):
            # The rate measured here, so that the plan of the part shows the same hours.
            speed = {"tflops": rate / 1e12, "seconds_per_job": start}
            write_sub_study(found, *params.bought, {**params.run_name, "throughput": speed})
        bought = budget_lines(budget, found, throughput, params.command, params.bought)
    page = report(
        costs_of(study, params.rows),
        params.downloads,
        throughput,
        full_lengths=study.full_lengths(params.rows),
        finished=finished_trainings(study, params.rows, results / "benchmarks"),
        bought=bought,
    )
    with atomic_file(params.page) as partial:
        partial.write_text(page, encoding="utf-8")
    print(page)
