"""Make Table 3: the cost of pretraining by dimension and ratio (paper, Appendix D)."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.modeling.encoders import embedding_width
    from semantic_tokens.report.pages import Section, write_csv, write_page
    from semantic_tokens.report.tables.table3 import table3

    inputs, output = snakemake.input, snakemake.output
    width = embedding_width(Path(inputs.backbone).parent)
    table = table3(inputs.efficiency, inputs.all_logits, width)
    formats = {
        "ratio": ".0%",
        "parameters_m": ".2f",
        "peak_memory_gb": ".2f",
        "peak_memory_all_logits_gb": ".2f",
        "steps_per_second": ".2f",
        "steps_per_second_all_logits": ".2f",
    }
    write_csv(table, output[0], formats | {"ratio": ".4g"})
    measured = [name for name in formats if name != "ratio"]
    best = {name: table[name].max() if "per" in name else table[name].min() for name in measured}
    worst = {name: table[name].min() if "per" in name else table[name].max() for name in measured}

    def classes(row, column):
        if column not in measured or best[column] == worst[column]:
            return ""
        if row[column] == best[column]:
            return "green"
        return "red" if row[column] == worst[column] else ""

    of_process = "process" in set(table["memory_of"])
    write_page(
        output[1],
        f"Efficiency in continual pretraining: {snakemake.params.title}",
        [
            "Measured during the pretraining of each model: the median step, and the peak memory of "
            + ("the process, including libraries" if of_process else "the GPU")
            + ". With all logits: steps that compute the logits of all positions at once, as the "
            "paper does, so memory grows with the vocabulary. The other steps compute the logits of "
            "masked positions only, in parts. Green is the best of a column and red the worst. Jobs "
            "that share a machine, as in a run on all cores, slow each other down."
        ],
        [
            Section(
                table,
                formats=formats,
                heads={
                    "dim": "d",
                    "ratio": "r_G",
                    "parameters_m": "parameters (million)",
                    "peak_memory_gb": "peak memory (GB)",
                    "peak_memory_all_logits_gb": "peak memory, all logits (GB)",
                    "steps_per_second": "steps per second",
                    "steps_per_second_all_logits": "steps per second, all logits",
                },
                classes=classes,
            )
        ],
    )
