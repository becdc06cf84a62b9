"""Make Table 2: the hyperparameters (paper, Appendix A)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    import pandas as pd

    from semantic_tokens.report.pages import Section, write_csv, write_page
    from semantic_tokens.report.tables.table2 import table2, training_rows

    params, output = snakemake.params, snakemake.output
    pretraining = {
        "training": params.pretraining["training"],
        "options": {k: v for k, v in params.pretraining.items() if k != "training"},
    }
    tasks, continual = table2(params.tasks, pretraining)
    alignment = {k: v for k, v in params.alignment.items() if k != "training"}
    alignment |= params.alignment["training"]
    aligned = pd.DataFrame({"parameter": list(alignment), "value": map(str, alignment.values())})
    together = tasks.merge(
        continual.rename(columns={"value": "continual_pretraining"}), on="parameter", how="outer"
    )
    names = dict.fromkeys([*training_rows(), *tasks["parameter"], *continual["parameter"]])
    order = {name: i for i, name in enumerate(names)}
    together = together.fillna("").sort_values("parameter", key=lambda names: names.map(order))
    write_csv(together, output[0])
    seeds = ", ".join(map(str, params.seeds))
    write_page(
        output[1],
        f"Training: {params.title}",
        [
            f"The configured options, with AdamW and the seeds {seeds}. An empty cell is not an option of the task."
        ],
        [
            Section(tasks, "Fine-tuning"),
            Section(continual, "Continual pretraining"),
            Section(aligned, "Cross-lingual subword alignment"),
        ],
    )
