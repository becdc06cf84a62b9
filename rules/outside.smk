# External inputs: package archives, downloads, and the user's own files.
from pathlib import Path

from semantic_tokens.study.ingredients import fetched_files
from semantic_tokens.study.recipe import lexicons_of


def wheel_of(spec):
    """The archive that an entry of the config is read from, if any."""
    return located(file for file in fetched_files(spec) if file.endswith(".whl"))


def path_of(spec):
    """The local file or folder that an entry of the config is read from, if any.

    A folder is followed by its files, because its date does not show changes of its files."""
    if not spec.get("path"):
        return []
    paths = [spec["path"], *sorted(map(str, filter(Path.is_file, Path(spec["path"]).rglob("*"))))]
    return [local(path) for path in paths]  # the user's own, which no prefix is for


def downloads_of(spec):
    """The folders of downloads that an entry of the config is read from, if any.

    A ``path`` has priority over them, since it is the user's copy."""
    return located(file for file in fetched_files(spec) if not file.endswith(".whl"))


def wheel_origin(wheel):
    """The source of a package archive: its name and version, or a local file."""
    without_effect = ("sha256", "size_mb")
    return {k: v for k, v in config["wheels"][wheel].items() if k not in without_effect}


def sources_in_use(rows):
    """The entries of the config that these experiments and all tasks use."""
    recipes = list(dict.fromkeys(row.recipe for row in rows))
    specs = [config["backbones"][recipe.backbone] for recipe in recipes]
    parts = {part for recipe in recipes for part in (recipe.alignment, recipe.grouping)}
    lexicons = {name for part in parts for name in lexicons_of(part)} - {"roundtrip"}
    specs += [config["lexicons"][name] for name in lexicons]
    corpora = set()
    if any(recipe.uses_corpora for recipe in recipes):
        corpora |= set(config["pretraining"]["corpora"])
    for spec in specs:
        corpora |= set(spec.get("vocabulary_texts", []))
    specs += [config["corpora"][name] for name in corpora]
    tasks = TASKS + [task for row in rows for task in tasks_of_figure(row.figure)]
    datasets = dict.fromkeys(config["tasks"][task]["dataset"] for task in tasks)
    specs += [config["datasets"][dataset] for dataset in datasets]
    return specs


def network_files(rows):
    """All files that these experiments need from the network."""
    specs = sources_in_use(rows)
    if INSPECTED:
        specs += [{"wheel": font} for font in config["inspection"]["fonts"]]
    return sorted({file for spec in specs for file in wheel_of(spec) + downloads_of(spec)})


def hub_readings(rows):
    """The files of data that these experiments read from the hub without a download, which needs a
    network."""
    file_of = {"corpora": "results/corpora/{}.jsonl", "datasets": "results/datasets/{}/test.jsonl"}
    return located(file_of[section].format(name) for section, name, _ in read_from_hub(rows))


def read_from_hub(rows):
    """The section, name and entry of the corpora and datasets of :func:`hub_readings`."""
    used = sources_in_use(rows)
    return [
        (section, name, spec)
        for section in ("corpora", "datasets")
        for name, spec in config[section].items()
        if spec["reader"] in ("hf", "xnli_hub", "tydiqa_hub", "wikipedia")
        and not (spec.get("path") or spec.get("download"))
        and any(spec is other for other in used)
    ]


def source_files(rows):
    """All external inputs of these experiments: downloads, the user's own files, and the table of
    experiments."""
    user_files = [path for spec in sources_in_use(rows) for path in path_of(spec)]
    return [*network_files(rows), *dict.fromkeys(user_files), local(config["experiments"])]
