"""The paper's Table 2 and Appendix A: the hyperparameters, from the options."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd

from semantic_tokens.report.pages import Section, write_csv, write_page

#: The first rows of Table 2, in the paper's order; `adam_betas` become two.
_FIRST_ROWS = (
    "epochs",
    "max_steps",
    "warmup_ratio",
    "batch_size",
    "learning_rate",
    "adam_beta_1",
    "adam_beta_2",
    "weight_decay",
    "max_gradient_norm",
    "dropout",
    "precision",
    "attn_implementation",
)


def training_rows() -> tuple[str, ...]:
    """The rows of Table 2 for all trainings, in order: all options except those of the device."""
    from semantic_tokens.training.options import OF_THE_DEVICE, TrainingOptions

    names = [option.name for option in fields(TrainingOptions)]
    hidden = {*OF_THE_DEVICE, "adam_betas"}
    return tuple(dict.fromkeys([*_FIRST_ROWS, *(name for name in names if name not in hidden)]))


def table2(
    tasks: Mapping[str, Mapping[str, Any]], pretraining: Mapping[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Table 2 and Appendix A: the hyperparameters of every task and of continual pretraining.

    Args:
        tasks: task -> its ``training`` (options of ``TrainingOptions``) and its other
            ``options``, including ``tokenization``.
        pretraining: the same for continual pretraining.

    Returns:
        ``parameter`` and one column per task; and ``parameter, value`` of pretraining. Values are
        text, and empty for options that do not apply to a task.
    """
    rows = training_rows()
    columns = {task: _settings(spec) for task, spec in tasks.items()}
    others = sorted({name for values in columns.values() for name in values} - set(rows))
    lines = [
        {"parameter": name} | {task: values.get(name, "") for task, values in columns.items()}
        for name in [*rows, *others]
        if any(values.get(name) for values in columns.values())
    ]
    ours = _settings(pretraining)
    names = [name for name in rows if name in ours]
    names += [name for name in ours if name not in rows]
    shown = [{"parameter": name, "value": ours[name]} for name in names if ours[name]]
    return pd.DataFrame(lines), pd.DataFrame(shown)


def write_table2(
    tasks: pd.DataFrame,
    pretraining: pd.DataFrame,
    alignment: Mapping[str, Any],
    csv: str | Path,
    html: str | Path,
    *,
    title: str,
    seeds: Sequence[int],
) -> None:
    """Write :func:`table2` as one CSV, and as a page that also has the options of the alignment.

    Args:
        alignment: option -> value.
    """
    names = dict.fromkeys([*training_rows(), *tasks["parameter"], *pretraining["parameter"]])
    order = {name: i for i, name in enumerate(names)}
    together = tasks.merge(
        pretraining.rename(columns={"value": "continual_pretraining"}), on="parameter", how="outer"
    )
    together = together.fillna("").sort_values("parameter", key=lambda names: names.map(order))
    write_csv(together, csv)
    aligned = pd.DataFrame({"parameter": list(alignment), "value": map(str, alignment.values())})
    write_page(
        html,
        f"Training: {title}",
        [
            f"The configured options, with AdamW and the seeds {', '.join(map(str, seeds))}. An "
            "empty cell is not an option of the task."
        ],
        [
            Section(tasks, "Fine-tuning"),
            Section(pretraining, "Continual pretraining"),
            Section(aligned, "Cross-lingual subword alignment"),
        ],
    )


def _settings(spec: Mapping[str, Any]) -> dict[str, str]:
    from semantic_tokens.training import TrainingOptions

    training = asdict(TrainingOptions(**spec["training"]))
    for number, beta in enumerate(training.pop("adam_betas"), start=1):
        training[f"adam_beta_{number}"] = beta
    if training["max_steps"] is not None and "epochs" not in spec["training"]:
        training["epochs"] = None  # max_steps has priority
    for name, value in training.items():
        if isinstance(value, bool):
            training[name] = "yes" if value else None
    kept = {name: training[name] for name in training_rows()}
    others = {**spec.get("tokenization", {}), **spec.get("options", {})}
    return {name: _text(value) for name, value in (kept | dict(sorted(others.items()))).items()}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)
