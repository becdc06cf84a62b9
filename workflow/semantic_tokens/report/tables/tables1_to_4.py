"""The paper's Tables 1 to 4: datasets, training, efficiency, and grouping by lexicon.

Everything in them is counted in the files, read from the options or measured; nothing is typed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import safe_open

from semantic_tokens.evaluation.bootstrap import Experiment, TaskScores, experiment_name
from semantic_tokens.files import read_json, read_jsonl
from semantic_tokens.report.tables.table5 import recipe_of
from semantic_tokens.study.recipe import METHOD_NAMES, Recipe, lexicons_of

#: What the paper's Table 1 says of a kind of task: its name, its type and its granularity.
KINDS = {
    "token_classification": ("named entity recognition", "classification", "word-level"),
    "question_answering": ("question answering", "classification", "sentence-level"),
    "pair_classification": ("natural language inference", "classification", "sentence-level"),
    "reranking": ("passage reranking", "classification", "passage-level"),
    "retrieval": ("passage retrieval", "embedding", "passage-level"),
}

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
    "gradient_checkpointing",
    "attn_implementation",
)


def count_by_language(path: str | Path) -> Counter[str]:
    """How many lines of a JSON lines file are in each language; the file is streamed."""
    return Counter(row["language"] for row in read_jsonl(path))


def dataset_counts(files: Mapping[str, Mapping[str, str | Path]]) -> pd.DataFrame:
    """Examples by dataset and language, as loaded.

    Args:
        files: dataset -> ``train``, ``dev``, ``test`` and perhaps ``passages`` -> its file.

    Returns:
        ``dataset, language, train, dev, test, passages``; the last is NA where there are none.
    """
    lines = []
    for dataset, parts in files.items():
        counts = {part: count_by_language(path) for part, path in parts.items()}
        for language in sorted(set().union(*counts.values())):
            line: dict[str, Any] = {"dataset": dataset, "language": language}
            for part in ("train", "dev", "test", "passages"):
                line[part] = counts[part][language] if part in counts else pd.NA
            lines.append(line)
    table = pd.DataFrame(lines)
    return table.astype({part: "Int64" for part in ("train", "dev", "test", "passages")})


def table1(
    tasks: Mapping[str, Mapping[str, str]], counts: pd.DataFrame, evaluation_split: str
) -> pd.DataFrame:
    """Table 1: what every task is, in how many languages, and how large.

    Args:
        tasks: task -> ``kind`` and ``dataset``.
        counts: of :func:`dataset_counts`.
        evaluation_split: whose languages count.

    Returns:
        ``task, dataset, is, type, granularity, languages, train, dev, test, passages,
        language_codes``.
    """
    lines = []
    for task, spec in tasks.items():
        part = counts[counts["dataset"] == spec["dataset"]]
        codes = part.loc[part[evaluation_split] > 0, "language"]
        what, form, granularity = KINDS[spec["kind"]]
        line = {
            "task": task,
            "dataset": spec["dataset"],
            "is": what,
            "type": form,
            "granularity": granularity,
            "languages": len(codes),
        }
        sums = part[["train", "dev", "test", "passages"]].sum(min_count=1)
        lines.append(line | sums.to_dict() | {"language_codes": " ".join(codes)})
    return pd.DataFrame(lines).astype(dict.fromkeys(("train", "dev", "test", "passages"), "Int64"))


def training_rows() -> tuple[str, ...]:
    """Rows of Table 2 that every training has, in order: all options but those of the device."""
    from semantic_tokens.training.options import OF_THE_DEVICE, TrainingOptions

    names = [option.name for option in fields(TrainingOptions)]
    hidden = {*OF_THE_DEVICE, "adam_betas"}
    return tuple(dict.fromkeys([*_FIRST_ROWS, *(name for name in names if name not in hidden)]))


def table2(
    tasks: Mapping[str, Mapping[str, Any]], pretraining: Mapping[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Table 2 and Appendix A: how every task is trained, and continual pretraining.

    Args:
        tasks: task -> its ``training`` (options of ``TrainingOptions``) and its other
            ``options``, ``tokenization`` among them.
        pretraining: the same of continual pretraining.

    Returns:
        ``parameter`` and one column for each task; and ``parameter, value`` of pretraining. Values are
        text, empty where an option is not of that task or was left to another.
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


def _settings(spec: Mapping[str, Any]) -> dict[str, str]:
    from semantic_tokens.training import TrainingOptions

    training = asdict(TrainingOptions(**spec["training"]))
    for number, beta in enumerate(training.pop("adam_betas"), start=1):
        training[f"adam_beta_{number}"] = beta
    if training["max_steps"] is not None and "epochs" not in spec["training"]:
        training["epochs"] = None  # the steps decide
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


def table3(
    files: Sequence[str | Path], all_logits_files: Sequence[str | Path], full_dimension: int
) -> pd.DataFrame:
    """Table 3: parameters, memory and speed during continual pretraining.

    Args:
        files: what pretraining says it took, at ``…/{dimension}/{grouping}.json``.
        all_logits_files: for each of them, what steps took that compute the logits of every
            position, as the paper does.
        full_dimension: D of the backbone's own word embeddings.

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


@dataclass(frozen=True)
class LexiconTask:
    """What Table 4 compares groupings on.

    Attributes:
        task: of the config.
        language: whose score is shown; None is the mean over all.
    """

    task: str
    language: str | None


def table4(
    rows: Sequence[Experiment],
    shown: LexiconTask,
    metric: str,
    scores: TaskScores,
    ratio_of_groups: Mapping[str, float],
) -> pd.DataFrame:
    """Table 4: groups of words that translate each other against K-Means.

    Args:
        metric: of the task, e.g. ``ndcg_at_10``.
        scores: of the task.
        ratio_of_groups: recipe path -> |V'| / |V|, which a lexicon decides by its coverage.

    Returns:
        ``method, ratio, {metric}``, ``…_std`` where seeds and
        ``…_std_replicates`` where replicates are several, the interval ``…_low`` and
        ``…_high``, ``items`` that were scored, and ``recipe``.
    """
    lines = []
    for row in rows:
        recipe, name = recipe_of(row), experiment_name(row)
        if shown.language is None:
            score, items = scores.estimate(name), sum(scores.counts.values())
        else:
            score = scores.in_language(name, shown.language)
            items = scores.counts[shown.language]
        line = {
            "method": method_name(recipe),
            "ratio": ratio_of_groups[recipe.path],
            metric: score.value,
        }
        line |= {f"{metric}_{name}": std for name, std in score.spreads.items()}
        line |= {f"{metric}_low": score.low, f"{metric}_high": score.high}
        lines.append(line | {"items": items, "recipe": name})
    return pd.DataFrame(lines)


def method_name(recipe: Recipe) -> str:
    """A grouping in words.

    >>> method_name(Recipe("mbert", "unaligned", "dfull", "lexicon-muse+panlex", "asis"))
    'lexicon: muse + panlex'
    """
    if recipe.grouping_method == "lexicon":
        return f"lexicon: {' + '.join(lexicons_of(recipe.grouping))}"
    name = METHOD_NAMES[recipe.grouping_without_ratio]
    return "oracle" if name == "ungrouped" else name


def ratio_of_file(path: str | Path) -> float:
    """|V'| / |V| of a file of groups, whose tensors are not read."""
    with safe_open(path, framework="np") as file:
        weight, mapping = (file.get_slice(name) for name in ("weight", "token_to_group"))
        return float(weight.get_shape()[0] / mapping.get_shape()[0])
