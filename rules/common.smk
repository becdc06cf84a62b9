# What every rule file may use; nothing here runs a job.
import copy
import hashlib
import os
import re
import sys
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from snakemake.logging import logger
from snakemake.common.configfile import load_configfile
from snakemake.sourcecache import HostingProviderFile
from snakemake.utils import update_config

# As a module of another workflow, which may put all of its files below a prefix.
IS_MODULE = workflow.modifier.parent_modifier is not None
PREFIX = workflow.modifier.path_modifier.prefix or ""


def package_root():
    """The folder that the package lies in: this checkout's.

    Where another workflow names a repository and no folder, by ``github(…)`` as the workflow
    catalog does, there is no checkout: what the repository holds of the package is copied into
    ``.snakemake``, once a commit."""
    here = workflow.current_basedir
    if not isinstance(here, HostingProviderFile):
        return Path(here.get_path_or_uri(secret_free=True)).parent / "workflow"
    repository = here.hosted_repo.repo
    commit = repository.commit(here.ref).hexsha
    folder = Path(".snakemake/semantic_tokens") / commit
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            partial = Path(temporary) / "checkout"
            with tempfile.TemporaryFile() as archive:
                repository.archive(archive, commit, path="workflow/semantic_tokens", format="zip")
                with zipfile.ZipFile(archive) as opened:
                    opened.extractall(partial)
            (partial / "commit").write_text(commit, encoding="utf-8")
            with suppress(OSError):  # another process was faster
                partial.rename(folder)
    return folder / "workflow"


PACKAGE_ROOT = package_root()
sys.path.insert(0, str(PACKAGE_ROOT))
# Scripts import this checkout's package too, whose code the digests below speak of, even where
# another checkout is installed.
os.environ.update(
    PYTHONPATH=os.pathsep.join(
        [str(PACKAGE_ROOT.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
)

from semantic_tokens.cluster.failures import Failures
from semantic_tokens.configuration import read_experiments, validate_config
from semantic_tokens.downloads.folder import read_checksums
from semantic_tokens.errors import InputError
from semantic_tokens.recipe import PATTERNS, lexicons_of, ratio_of
from semantic_tokens.replicates import in_replicate, reseeded, seed_in, split_replicate
from semantic_tokens.snakemake_run import begin_run

begin_run(Path(".snakemake").resolve(), takes_lock=workflow.is_main_process and not workflow.dryrun)

if IS_MODULE:
    # What the other workflow says is laid over the default profile, as a profile is.
    default = load_configfile(workflow.source_path("../config/config.yaml"))
    given = copy.deepcopy(dict(config))
    default["experiments"] = workflow.source_path("../config/experiments.tsv")
    update_config(default, given)
    config = default

try:
    validate_config(config, workflow.source_path("../config/schemas/config.schema.json"))
    EXPERIMENTS = read_experiments(config["experiments"], config)
except InputError as error:
    logger.error(f"Error: {error}")  # alone: an exception would point at this file
    sys.exit(1)

#: What is said at the end of a run on SLURM; nothing elsewhere.
SLURM_FAILURES = Failures()
TASKS = config["tasks_shown"]
SPLITS = ["train", "dev", "test"]
GROUPS = "{backbone}/{alignment}/{dimension}/{grouping}"
RECIPE = f"{GROUPS}/{{pretraining}}"


wildcard_constraints:
    **PATTERNS,
    segmentation=r"original|firstk-[0-9.]+",
    task=r"[a-z0-9_]+",
    dataset=r"[a-z0-9_]+",
    download=r"[a-z0-9_]+",
    corpus=r"[a-z0-9_]+",
    lexicon=r"[A-Za-z0-9_]+",
    training=r"all-languages|[a-z]{3}",
    seed=r"\d+",


def code_digest(*modules):
    """A short digest of the named modules' source: a rule that puts it into its params
    becomes stale when the code that decides its output changes, and only then.

    A package stands for all of its modules."""
    digest = hashlib.sha256()
    for module in modules:
        # By its place: to import what is above it takes seconds, and libraries that the jobs need.
        place = PACKAGE_ROOT / module.replace(".", "/")
        paths = sorted(place.rglob("*.*")) if place.is_dir() else [place.with_suffix(".py")]
        for path in paths:
            if path.suffix in {".py", ".yaml", ".j2", ".css", ".js"}:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def growing(amount):
    """A resource of which each new attempt at a job asks for as much again: on a cluster, a job
    that went over its memory or time is given more. It makes nothing stale."""
    return lambda wildcards, attempt: amount * attempt


def minutes(amount, group=None):
    """A time limit, which grows as :func:`growing` does, but no further than
    ``runtime_minutes.maximum`` for all of the jobs that a group of this name puts together."""

    def limit(wildcards, attempt):
        together = workflow.group_settings.group_components.get(group, 1)
        longest = config["runtime_minutes"]["maximum"] // together
        return max(1, min(amount * attempt, longest))

    return limit


def experiment_recipes():
    """The recipes of all experiments, each once, in the table's order."""
    return list(dict.fromkeys(row.recipe for row in EXPERIMENTS))


def dataset_kind(dataset):
    return config["datasets"][dataset]["kind"]


def datasets_of_kind(is_ranking):
    """A wildcard constraint: the datasets that are, or are not, for ranking."""
    names = [n for n in config["datasets"] if (dataset_kind(n) == "ranking") == is_ranking]
    return "|".join(names) or "none-in-config"


def pool_of(dataset):
    """The options of a dataset's smaller collection; None where the whole is searched."""
    return config["datasets"][dataset].get("pool")


def collection_of(task):
    """What this task's scores are of, where that is not the whole collection; empty if it is.

    BM25 ranks the whole, so a pool changes nothing for what is ranked anew of its lists."""
    spec = config["datasets"][config["tasks"][task]["dataset"]]
    found = {}
    if spec.get("pool") and config["tasks"][task]["kind"] == "retrieval":
        found["pool"] = spec["pool"]
    share = spec["options"].get("distractors", 1)
    if spec["reader"] in ("miracl", "msmarco") and share != 1:
        found["distractors"] = share
    return found


def passages_file(wildcards):
    """The passages that this dataset's queries search."""
    folder = "pools" if pool_of(wildcards.dataset) else "datasets"
    return [f"results/{folder}/{wildcards.dataset}/passages.jsonl"]


def passages_files(dataset):
    """The whole collection of a dataset, if it is for ranking."""
    is_ranking = dataset_kind(dataset) == "ranking"
    return [f"results/datasets/{dataset}/passages.jsonl"] if is_ranking else []


#: The paper's sections, as the report has them.
SECTIONS = {
    "provenance": "1 The study",
    "figure2": "2 Operations and pipelines",
    "table1": "3 Tasks",
    "figure3": "4.1 Semantic grouping",
    "figure4": "4.1 Semantic grouping",
    "figure5": "4.2 Dimension reduction",
    "figure6": "4.2 Dimension reduction",
    "figure7": "4.3 Other models",
    "figure8": "4.4 Inspection",
    "explorer": "4.4 Inspection",
    "figure9": "4.5 Zero-shot",
    "table2": "A Training",
    "pretraining_curves": "A Training",
    "figure11": "B Sources of alignment",
    "figure10": "C Languages",
    "table3": "D Memory and efficiency",
    "figure12": "E Distance",
    "table4": "F Grouping by lexicon",
    "table5": "G Numbers",
    "figure13": "H More groups",
}


def in_report(path, part=None, caption=None, title=None):
    """An output that the report shows, in the section of this table or figure of the paper.

    Captions are in workflow/report; a rule of several figures has one."""
    part = part or Path(path).stem

    def section(wildcards):
        return SECTIONS.get(getattr(wildcards, "figure", part), "Not in the paper")

    def labels(wildcards):
        name = title or getattr(wildcards, "figure", part)
        name = re.sub(r"^(figure|table)(\d+)$", r"\1 \2", name)
        return {"shows": name[:1].upper() + name[1:]}

    return report(
        path,
        caption=f"../workflow/report/{caption or part}.rst",
        category=section,
        labels=labels,
    )


def tokenizer_file(wildcards):
    """The tokenizer that cuts the text of this segmentation, in the backbone's ids."""
    if wildcards.segmentation == "original":
        return f"results/backbones/{wildcards.backbone}/tokenizer.json"
    return f"results/tokenizers/{wildcards.backbone}/{wildcards.segmentation}/tokenizer.json"


def tokenizer_of_recipe(wildcards):
    """The tokenizer that the text of this recipe is cut with."""
    cut = segmentation(wildcards)
    if cut == "original":
        return f"results/backbones/{wildcards.backbone}/tokenizer.json"
    return f"results/tokenizers/{original(wildcards.backbone)}/{cut}/tokenizer.json"


def backbone_and_groups(wildcards):
    """The files of a model before it is pretrained again. It is assembled when it is loaded."""
    backbone, alignment = wildcards.backbone, wildcards.alignment
    files = {
        "model": multiext(f"results/backbones/{backbone}/", "config.json", "model.safetensors")
    }
    if wildcards.grouping != "ungrouped":
        files["groups"] = [f"results/groups/{GROUPS.format(**wildcards)}.safetensors"]
    elif (alignment, wildcards.dimension) != ("unaligned", "dfull"):
        path = f"{backbone}/{alignment}/{wildcards.dimension}"
        files["embeddings"] = [f"results/embeddings/{path}.safetensors"]
    return files


def model_inputs(wildcards):
    """The files of this recipe's model."""
    if wildcards.pretraining == "asis":
        return backbone_and_groups(wildcards)
    return {"model": [f"results/models/{GROUPS.format(**wildcards)}/mlm"]}


def segmentation(wildcards):
    """Which tokenizer the text of this recipe is cut with."""
    resegmented = config["grouping"]["first_k"]["mode"] == "resegment"
    return (
        wildcards.grouping
        if wildcards.grouping.startswith("firstk-") and resegmented
        else "original"
    )


def wheel_of(spec):
    """The archive that an entry of the config is read from, if any."""
    return [f"resources/wheels/{spec['wheel']}.whl"] if spec.get("wheel") else []


def path_of(spec):
    """The file or folder on this machine that an entry of the config is read from, if any.

    A folder's files come after it: its own date does not tell when one of them was edited."""
    if not spec.get("path"):
        return []
    paths = [spec["path"], *sorted(map(str, filter(Path.is_file, Path(spec["path"]).rglob("*"))))]
    return [local(path) for path in paths]  # the user's own, which no prefix is for


def downloads_of(spec):
    """The folders of fetched files that an entry of the config is read from, if any.

    A ``path`` goes before them: it is a copy that the user has."""
    names = [] if spec.get("path") else spec.get("download") or []
    return [f"resources/downloads/{n}" for n in ([names] if isinstance(names, str) else names)]


def download_spec(download):
    """What decides the files of a download: what is said about them does not."""
    spec = config["downloads"][download]
    said = ("licence", "size_mb", "checksums")  # the last by what is in it: checksums_of
    return {key: value for key, value in spec.items() if key not in said}


def reading_spec(spec):
    """What decides how an entry of the config is read: the rest of it is for other steps."""
    keys = ("kind", "reader", "options", "minimum_characters")
    return {key: spec[key] for key in keys if key in spec}


def backbone_spec(backbone):
    """What decides a backbone: its shape is for the plan, before it is there."""
    return {key: value for key, value in config["backbones"][backbone].items() if key != "shape"}


def training_spec(options):
    """What decides what a training learns: how often it is kept on disk does not."""
    training = {k: v for k, v in options["training"].items() if k != "checkpoint_every"}
    return {**options, "training": training}


def shown_training(options):
    """What Table 2 shows of a training: what a device takes at a time is left out."""
    hidden = ("checkpoint_every", "device_batch_size")
    return {"training": {k: v for k, v in options["training"].items() if k not in hidden}}


def checksums_of(download):
    """What the list of a download's checksums says: an edit of it makes the download stale."""
    path = config["downloads"][download].get("checksums")
    return read_checksums(path) if path else None


def sources_in_use(rows):
    """The entries of the config that some experiments, and all tasks, read."""
    recipes = list(dict.fromkeys(row.recipe for row in rows))
    specs = [config["backbones"][recipe.backbone] for recipe in recipes]
    parts = {part for recipe in recipes for part in (recipe.alignment, recipe.grouping)}
    lexicons = {name for part in parts for name in lexicons_of(part)} - {"roundtrip"}
    specs += [config["lexicons"][name] for name in lexicons]
    corpora = set(config["pretraining"]["corpora"])
    for spec in specs:
        corpora |= set(spec.get("vocabulary_texts", []))
    specs += [config["corpora"][name] for name in corpora]
    tasks = TASKS + [task for row in rows for task in tasks_of_figure(row.figure)]
    datasets = dict.fromkeys(config["tasks"][task]["dataset"] for task in tasks)
    specs += [config["datasets"][dataset] for dataset in datasets]
    return specs


def network_files(rows):
    """Everything that some experiments need from the network."""
    specs = sources_in_use(rows)
    specs += [{"wheel": font} for font in config["inspection"]["fonts"]]
    return sorted({file for spec in specs for file in wheel_of(spec) + downloads_of(spec)})


def hub_readings(rows):
    """What some experiments read from the hub without a download: reading it takes a network."""
    used = sources_in_use(rows)
    files = []
    for section in ("corpora", "datasets"):
        for name, spec in config[section].items():
            of_hub = spec["reader"] in ("hf", "xnli_hub", "tydiqa_hub", "wikipedia")
            has_folder = spec.get("path") or spec.get("download")
            if of_hub and not has_folder and any(spec is other for other in used):
                files.append(
                    f"results/corpora/{name}.jsonl"
                    if section == "corpora"
                    else f"results/datasets/{name}/test.jsonl"
                )
    return files


def source_files(rows):
    """Everything that some experiments read from outside the workflow: what was fetched, the
    user's own files, and the table of experiments."""
    own = [path for spec in sources_in_use(rows) for path in path_of(spec)]
    return [*network_files(rows), *dict.fromkeys(own), local(config["experiments"])]


def corpus_code(corpus):
    """The digest of what reads this corpus, or takes its text from another part's words."""
    columns = [f"semantic_tokens.task_data.{module}" for module in ("canonical", "conll")]
    passages = [f"semantic_tokens.task_data.{module}" for module in ("sources", "squad")]
    other_parts = {
        "emoji_names": ["semantic_tokens.lexicons.package_words"],
        "miniature": ["semantic_tokens.miniature", "semantic_tokens.lexicons.package_words"],
        "conll_sentences": columns,
        "squad_contexts": passages,
        **dict.fromkeys(("hf", "wikipedia"), ["semantic_tokens.hub_tables"]),
    }
    return code_digest(
        "semantic_tokens.corpora",
        "semantic_tokens.languages",
        "semantic_tokens.seen",
        "semantic_tokens.text_files",
        *other_parts.get(config["corpora"][corpus]["reader"], []),
    )


def dataset_code(dataset):
    """The digest of what makes this dataset: the generator, or the readers."""
    if config["datasets"][dataset]["reader"] == "miniature":
        modules = ["miniature", "lexicons.package_words", "languages"]
    else:
        modules = ["task_data", "hub_tables", "languages", "seen", "text_files"]
    return code_digest(*(f"semantic_tokens.{module}" for module in modules))


def task_inputs(wildcards):
    """The data of a task, cut by this recipe's tokenizer."""
    dataset = config["tasks"][wildcards.task]["dataset"]
    ranking = dataset_kind(dataset) == "ranking"
    tables = SPLITS + ["passages"] if ranking else SPLITS
    backbone = original(wildcards.backbone)
    folder = f"results/tokenized/{backbone}/{segmentation(wildcards)}/{dataset}"
    files = {
        "tokenized": [f"{folder}/{table}.parquet" for table in tables],
        "dataset": [f"results/datasets/{dataset}/{split}.jsonl" for split in SPLITS],
    }
    if ranking:
        files["candidates"] = [f"results/candidates/{dataset}/{split}.jsonl" for split in SPLITS]
    return files


def task_code(wildcards):
    """The digest of what trains and scores this kind of task."""
    kind = config["tasks"][wildcards.task]["kind"]
    modules = ["modeling", "grouping.groups", "training", "scored_items", "vocabulary"]
    modules += ["special_tokens", "tokenized_tables"]
    modules += [f"finetuning.{module}" for module in ("run", "task", "predictions", kind)]
    if kind in ("reranking", "retrieval"):
        modules += ["finetuning.retrieval_data", "ranking"]
    return code_digest(*(f"semantic_tokens.{module}" for module in modules))


def score_files(rows, tasks=TASKS):
    """The scores of some experiments, for every shown task (or some of them) and seed."""
    return [
        f"results/scores/{recipe.path}/{task}/{row.training}/seed-{seed_in(seed, replicate)}.json"
        for row in rows
        for replicate, recipe in replicates_of(row.recipe)
        for task in tasks
        for seed in config["seeds"]
    ]


def scored_item_files(rows, tasks=TASKS):
    """What every test item adds to these scores."""
    return [path.replace(".json", ".items.parquet") for path in score_files(rows, tasks)]


def unshown_scores(rows):
    """The scores of the experiments that no figure shows: each row's of its own tasks."""
    return [
        file
        for row in rows
        if row.figure not in CURVES
        for file in score_files([row], tasks_of_figure(row.figure))
    ]


def rows_as_params(rows):
    """Experiments as plain values, so that a change of one makes the tables stale."""
    return [row.as_dict() for row in rows]


def backbone_configs(rows):
    return sorted({f"results/backbones/{row.recipe.backbone}/config.json" for row in rows})


def tasks_of_figure(figure):
    """What the rows of a figure are trained for: the config says, or all tasks that are shown.
    The paper's Figure 9 leaves out names: its benchmark has no English to train on."""
    if figure in config["tasks_by_figure"]:
        return config["tasks_by_figure"][figure]
    if figure != "figure9":
        return TASKS
    return [task for task in TASKS if config["tasks"][task]["kind"] != "token_classification"]


def plan_study(rows):
    """What decides the cost of some experiments, and nothing else of the config."""
    datasets = sorted({config["tasks"][task]["dataset"] for task in TASKS})
    backbones = sorted({row.recipe.backbone for row in rows})
    return {
        "rows": rows_as_params(rows),
        "tasks": {task: config["tasks"][task] for task in TASKS},
        "datasets": {dataset: config["datasets"][dataset] for dataset in datasets},
        "backbones": {backbone: config["backbones"][backbone] for backbone in backbones},
        "corpora": config["corpora"],
        "sizes": {name: spec.get("size_mb") for name, spec in config["downloads"].items()},
        "pretraining": config["pretraining"],
        "kmeans": config["grouping"]["kmeans"],
        "seeds": config["seeds"],
        "replicates": config["replicates"],
        "resegment": config["grouping"]["first_k"]["mode"] == "resegment",
    }


def plan_downloads(rows):
    """What comes over the network for some experiments, and how much of it is known."""
    names = [Path(file).stem for file in network_files(rows)]
    return {name: {**config["wheels"], **config["downloads"]}[name] for name in names}


def original(backbone):
    """The backbone that a replicate is of; itself for the first."""
    return split_replicate(backbone)[0]


def own_seeds(options, wildcards):
    """A step's options, with the seeds of the replicate that the job is of."""
    return reseeded(options, split_replicate(wildcards.backbone)[1])


def replicates_of(recipe):
    """Every replicate of a recipe, with its number."""
    return [
        (number, replace(recipe, backbone=in_replicate(recipe.backbone, number)))
        for number in range(1, config["replicates"] + 1)
    ]


def groups_of_same_sizes(wildcards):
    """The groups of K-Means whose sizes a control takes: of the same embeddings and ratio."""
    folder = f"results/groups/{wildcards.backbone}/{wildcards.alignment}/{wildcards.dimension}"
    return f"{folder}/kmeans-cosine-{wildcards.grouping.rpartition('-')[2]}.safetensors"


def subword_counts(wildcards):
    """How often each subword occurs in the corpora; of a replicate, as of its backbone."""
    backbone = original(wildcards.backbone)
    return f"results/tokenized/{backbone}/original/subword_counts.safetensors"


def baselines_of(task):
    """What of this task needs no model."""
    is_ranking = config["tasks"][task]["kind"] in ("reranking", "retrieval")
    return ["chance", "bm25"] if is_ranking else ["chance"]


def baseline_files(tasks):
    """The items of what needs no model, for the tests against it."""
    return [
        f"results/baselines/{baseline}/{task}.items.parquet"
        for task in tasks
        for baseline in baselines_of(task)
    ]


def chance_files(tasks):
    """Chance in these tasks, with the rule that it follows."""
    return [f"results/baselines/chance/{task}.json" for task in tasks]


def ranked_depth(task):
    """How many of BM25's passages a task ranks anew; None where it is no such task."""
    spec = config["tasks"][task]
    return spec["options"].get("rerank_depth", 100) if spec["kind"] == "reranking" else None


def baseline_inputs(wildcards):
    """The examples that a baseline is scored on, and the rankings or passages that it needs."""
    task = config["tasks"][wildcards.task]
    folder, split = f"results/datasets/{task['dataset']}", config["evaluation_split"]
    files = {"train": f"{folder}/train.jsonl", "test": f"{folder}/{split}.jsonl"}
    if wildcards.baseline == "bm25" or task["kind"] == "reranking":
        files["candidates"] = [f"results/candidates/{task['dataset']}/{split}.jsonl"]
    elif task["kind"] == "retrieval":
        place = "pools" if pool_of(task["dataset"]) else "datasets"
        files["passages"] = [f"results/{place}/{task['dataset']}/passages.jsonl"]
    return files


def baseline_code(wildcards):
    """The digest of what scores a baseline: with the metric of its kind of task."""
    kind = config["tasks"][wildcards.task]["kind"]
    metric = "ranking" if kind in ("reranking", "retrieval") else f"finetuning.{kind}"
    modules = ["baselines", "scored_items"]
    if kind != "pair_classification":
        modules.append(metric)
    return code_digest(*(f"semantic_tokens.{module}" for module in modules))
