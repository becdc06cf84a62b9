"""The paper's Table 3 (Appendix D): measured parameters, memory and speed."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from semantic_tokens.files import read_json
from semantic_tokens.study.recipe import Recipe


def table3(
    files: Sequence[str | Path], all_logits_files: Sequence[str | Path], full_dimension: int
) -> pd.DataFrame:
    """Table 3: parameters, memory and speed during continual pretraining.

    Args:
        files: the measurements of pretraining, ``…/{dimension}/{grouping}.json``.
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
    for path, all_logits_path in zip(map(Path, files), all_logits_files, strict=True):
        taken, all_logits = read_json(path), read_json(all_logits_path)
        backbone, alignment, dimension = path.parts[-4:-1]
        recipe = Recipe(backbone, alignment, dimension, path.stem, "mlm")
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
