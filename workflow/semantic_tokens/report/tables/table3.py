"""The paper's Table 3 (Appendix D): measured parameters, memory and speed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from semantic_tokens.json_files import read_json
from semantic_tokens.report.pages import Section, write_csv, write_page
from semantic_tokens.study.recipe import recipe_of_file

#: Measured column -> its heading.
HEADS = {
    "parameters_m": "parameters (million)",
    "peak_memory_gb": "peak memory (GB)",
    "peak_memory_all_logits_gb": "peak memory, all logits (GB)",
    "steps_per_second": "steps per second",
    "steps_per_second_all_logits": "steps per second, all logits",
}


def table3(
    masked_logits_files: Sequence[str | Path],
    all_logits_files: Sequence[str | Path],
    full_dimension: int,
) -> pd.DataFrame:
    """Table 3: parameters, memory and speed during continual pretraining.

    Args:
        masked_logits_files: measurements of steps of pretraining that compute the logits of masked
            positions, ``…/{dimension}/{grouping}.json``.
        all_logits_files: for each of them, measurements of steps that compute the logits of all
            positions, as the paper does.
        full_dimension: D of the backbone's word embeddings.

    Returns:
        ``dim, ratio, parameters_m`` (millions), ``peak_memory_gb`` (10⁹ bytes),
        ``peak_memory_all_logits_gb``, ``steps_per_second``, ``steps_per_second_all_logits``,
        ``memory_of``, ``device``, ``processes``, ``precision``,
        ``device_batch_size``, ``batch_size`` and ``sequence_length``; large dimensions first,
        small ratios first.
    """
    lines = []
    for path, all_logits_path in zip(masked_logits_files, all_logits_files, strict=True):
        taken, all_logits = read_json(path), read_json(all_logits_path)
        recipe = recipe_of_file(path, "mlm")
        lines.append(
            {
                "dim": recipe.dimension_number or full_dimension,
                "ratio": recipe.ratio,
                "parameters_m": taken["parameters"] / 1e6,
                "peak_memory_gb": taken["peak_memory_bytes"] / 1e9,
                "peak_memory_all_logits_gb": all_logits["peak_memory_bytes"] / 1e9,
                "steps_per_second": taken["steps_per_second"],
                "steps_per_second_all_logits": all_logits["steps_per_second"],
                **{
                    name: taken[name]
                    for name in (
                        "memory_of",
                        "device",
                        "processes",
                        "precision",
                        "device_batch_size",
                        "batch_size",
                        "sequence_length",
                    )
                },
            }
        )
    table = pd.DataFrame(lines)
    return table.sort_values(["dim", "ratio"], ascending=[False, True], ignore_index=True)


def write_table3(table: pd.DataFrame, csv: str | Path, html: str | Path, *, title: str) -> None:
    """Write :func:`table3` as CSV, and as a page that marks the best and worst of each column."""
    write_csv(table, csv, dict.fromkeys(HEADS, ".2f") | {"ratio": ".4g"})
    best, worst = {}, {}
    for name in HEADS:
        smallest, largest = table[name].min(), table[name].max()
        more_is_better = name.startswith("steps_per_second")
        best[name], worst[name] = (largest, smallest) if more_is_better else (smallest, largest)

    def classes(row: dict[str, Any], column: str) -> str:
        if column not in HEADS or best[column] == worst[column]:
            return ""
        if row[column] == best[column]:
            return "green"
        return "red" if row[column] == worst[column] else ""

    of_process = "process" in set(table["memory_of"])
    write_page(
        html,
        f"Efficiency in continual pretraining: {title}",
        [
            "Measured in some steps of pretraining: the median step, and the peak memory of "
            + ("the process, including libraries" if of_process else "the GPU")
            + ". With all logits: steps that compute the logits of all positions at once, as the "
            "paper does, so memory grows with the vocabulary. The other steps compute the logits of "
            "masked positions only, in parts. Green is the best of a column and red the worst. Jobs "
            "that share a machine, as in a run on all cores, slow each other down."
        ],
        [
            Section(
                table,
                formats=dict.fromkeys(HEADS, ".2f") | {"ratio": ".0%"},
                heads={"dim": "d", "ratio": "r_G"} | HEADS,
                classes=classes,
            )
        ],
    )
