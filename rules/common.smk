# What every rule file may use; nothing here runs a job.
import copy
import hashlib
import os
import re
import shlex
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


def check_targets():
    """Raise an InputError if the command line asks for a file that this run does not make.

    Snakemake itself knows its targets only after it has read the rules."""
    if not workflow.is_main_process or (IS_MODULE and not PREFIX):
        return  # the files of a job, or among another workflow's
    words = sys.argv[1:]
    for before, word in zip(["", *words], words):
        path = os.path.relpath(word or ".").removeprefix(PREFIX)
        if path.startswith(("results/", "resources/")) and before != "--report":
            LAYOUT.check_target(path)


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

from semantic_tokens.jobs.cluster.failures import Failures
from semantic_tokens.study.configuration import POOLED_DEPTHS, validate_config
from semantic_tokens.study.experiments import read_experiments
from semantic_tokens.errors import InputError
from semantic_tokens.jobs.gpu_devices import gpu_limit
from semantic_tokens.study.ingredients import (
    backbone_spec,
    checksums_of,
    download_spec,
    fetched_files,
    objective,
    ranked_depth,
    reading_spec,
    segmentation_of,
    training_spec,
)
from semantic_tokens.study.recipe import PATTERNS, lexicons_of, ratio_of
from semantic_tokens.study.replicates import in_replicate, reseeded, seed_in, split_replicate
from semantic_tokens.study.runs import BASE, folder_of, layout_of, record
from semantic_tokens.jobs.snakemake_run import begin_run

begin_run(Path(".snakemake").resolve(), takes_lock=workflow.is_main_process and not workflow.dryrun)

SCHEMA = workflow.source_path("../config/schemas/config.schema.json")


def default_profile():
    """The configuration that all others are laid over; None where there is no such file."""
    if IS_MODULE:
        profile = load_configfile(workflow.source_path("../config/config.yaml"))
        profile["experiments"] = workflow.source_path("../config/experiments.tsv")
        return profile
    path = Path("config/config.yaml")
    return load_configfile(path) if path.is_file() else None


def base_configuration():
    """The default profile as the run without a name would have it; None if it is no such run's."""
    profile = default_profile()
    if profile is None or profile.get("run", BASE) != BASE:
        return None
    try:
        validate_config(profile, SCHEMA)
    except InputError:  # it needs what is laid over it
        return None
    return profile


if IS_MODULE:
    # What the other workflow says is laid over the default profile, as a profile is.
    default = default_profile()
    update_config(default, copy.deepcopy(dict(config)))
    config = default

try:
    validate_config(config, SCHEMA)
    EXPERIMENTS = read_experiments(
        config["experiments"],
        config,
        workflow.source_path("../config/schemas/experiments.schema.json"),
    )
    LAYOUT = layout_of(config, base_configuration, PREFIX)
    check_targets()
except InputError as error:
    logger.error(f"Error: {error}")  # alone: an exception would point at this file
    sys.exit(1)

# On one machine as many jobs use GPUs at a time as there are GPUs, unless --resources gpu=… says
# how many; a cluster counts them itself. Each job takes a GPU of its own (semantic_tokens.jobs.gpu_devices).
if (
    config["gpus_per_job"]
    and workflow.is_main_process
    and workflow.resource_settings.nodes is None  # what Snakemake tells a cluster by, too
    and "gpu" not in workflow.global_resources
):
    gpus = gpu_limit(config["gpus_per_job"])
    if gpus is not None:
        workflow.global_resources["gpu"] = gpus

#: What is said at the end of a run on SLURM; nothing elsewhere.
SLURM_FAILURES = Failures()
TASKS = config["tasks_shown"]
SPLITS = ["train", "dev", "test"]
GROUPS = "{backbone}/{alignment}/{dimension}/{grouping}"
RECIPE = f"{GROUPS}/{{pretraining}}"


if IS_MODULE and workflow.is_main_process and not workflow.output_settings.dryrun:
    record(config, PREFIX)  # the front door's onstart is no part of a module


wildcard_constraints:
    **PATTERNS,
    # The run that shared files lie in: its folder with a slash, or nothing.
    run_folder=f"({'|'.join(map(re.escape, LAYOUT.folders))})",
    segmentation=r"original|firstk-[0-9.]+",
    task=r"[a-z0-9_]+",
    dataset=r"[a-z0-9_]+",
    download=r"[a-z0-9_]+",
    corpus=r"[a-z0-9_]+",
    lexicon=r"[A-Za-z0-9_]+",
    training=r"all-languages|[a-z]{3}",
    seed=r"\d+",


def own(path):
    """The path of a file that every run makes for itself, of the one without a name."""
    return LAYOUT.own(path)


def located(paths):
    """The path (or paths) of files that runs share: of this run or of the one that has the same.

    Paths are given as the run without a name has them; docs/decisions.md says which are shared.
    """
    return LAYOUT.shared(paths) if isinstance(paths, str) else list(map(LAYOUT.shared, paths))


def shared(patterns):
    """The same of a pattern (or patterns), as an input whose wildcards are filled in first."""

    def files(wildcards):
        if isinstance(patterns, str):
            return located(patterns.format(**wildcards))
        return located(pattern.format(**wildcards) for pattern in patterns)

    return files


def groups_file(recipe):
    """The groups of a recipe."""
    return located(f"results/groups/{recipe.path.rpartition('/')[0]}.safetensors")


def embeddings_file(recipe):
    """The embeddings that a recipe groups."""
    path = f"{recipe.backbone}/{recipe.alignment}/{recipe.dimension}"
    return located(f"results/embeddings/{path}.safetensors")


def lexicon_files(names):
    """The tables of lexicons; round trips are found among the words of the others."""
    return located(f"results/lexicons/{name}.tsv" for name in names if name != "roundtrip")


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


#: What a model is, apart from what derives backbones.
MODELING = [
    f"semantic_tokens.modeling.{module}"
    for module in (
        "__init__",
        "checkpoint_files",
        "embedding",
        "encoders",
        "export",
        "loading",
        "masked_language_modelling",
        "model_card",
        "pooling",
        "remote_code",
    )
]
#: What trains, whatever it trains for.
TRAINING = [
    f"semantic_tokens.training.{module}"
    for module in (
        "__init__",
        "batches",
        "checkpoint",
        "device",
        "loop",
        "options",
        "step",
        "tracking",
    )
]


def unrecorded(value):
    """A parameter that a job is told and that makes nothing stale.

    Snakemake keeps a record of parameters, and runs a job again where one has changed, but not of
    those that a function derives from the job's input: it takes such a parameter to change with
    the input alone. So this function asks for the input, and does not look at it."""

    def parameter(wildcards, input):
        return value(wildcards) if callable(value) else value

    return parameter


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
    return [located(f"results/{folder}/{wildcards.dataset}/passages.jsonl")]


def passages_files(dataset):
    """The whole collection of a dataset, if it is for ranking."""
    is_ranking = dataset_kind(dataset) == "ranking"
    return [located(f"results/datasets/{dataset}/passages.jsonl")] if is_ranking else []


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
        return located(f"results/backbones/{wildcards.backbone}/tokenizer.json")
    folder = f"results/tokenizers/{wildcards.backbone}/{wildcards.segmentation}"
    return located(f"{folder}/tokenizer.json")


def tokenizer_of_recipe(wildcards):
    """The tokenizer that the text of this recipe is cut with."""
    cut = segmentation(wildcards)
    if cut == "original":
        return located(f"results/backbones/{wildcards.backbone}/tokenizer.json")
    return located(f"results/tokenizers/{original(wildcards.backbone)}/{cut}/tokenizer.json")


def corpora_of_recipe(wildcards):
    """The text that this recipe is pretrained on, cut by its tokenizer."""
    folder = f"results/tokenized/{original(wildcards.backbone)}/{segmentation(wildcards)}/corpora"
    names = config["pretraining"]["corpora"]
    return located(f"{folder}/{corpus}.safetensors" for corpus in names)


def backbone_and_groups(wildcards):
    """The files of a model before it is pretrained again. It is assembled when it is loaded."""
    backbone, alignment = wildcards.backbone, wildcards.alignment
    weights = multiext(f"results/backbones/{backbone}/", "config.json", "model.safetensors")
    files = {"model": located(weights)}
    if wildcards.grouping != "ungrouped":
        files["groups"] = [located(f"results/groups/{GROUPS.format(**wildcards)}.safetensors")]
    elif (alignment, wildcards.dimension) != ("unaligned", "dfull"):
        path = f"{backbone}/{alignment}/{wildcards.dimension}"
        files["embeddings"] = [located(f"results/embeddings/{path}.safetensors")]
    return files


def model_inputs(wildcards):
    """The files of this recipe's model."""
    if wildcards.pretraining == "asis":
        return backbone_and_groups(wildcards)
    return {"model": [located(f"results/models/{GROUPS.format(**wildcards)}/mlm")]}


def segmentation(wildcards):
    """Which tokenizer the text of this recipe is cut with."""
    return segmentation_of(config, wildcards.grouping)


def wheel_of(spec):
    """The archive that an entry of the config is read from, if any."""
    return located(file for file in fetched_files(spec) if file.endswith(".whl"))


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
    return located(file for file in fetched_files(spec) if not file.endswith(".whl"))


def wheel_origin(wheel):
    """Where a package archive comes from: its name and version, or a local file."""
    said = ("sha256", "size_mb")
    return {key: value for key, value in config["wheels"][wheel].items() if key not in said}


def checkpointing(options):
    """How often a training is kept on disk, which decides nothing of what it learns."""
    return {k: v for k, v in options["training"].items() if k == "checkpoint_every"}


def shown_training(options):
    """What Table 2 shows of a training: what a device takes at a time is left out."""
    hidden = ("checkpoint_every", "device_batch_size")
    return {"training": {k: v for k, v in options["training"].items() if k not in hidden}}


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
                    located(
                        f"results/corpora/{name}.jsonl"
                        if section == "corpora"
                        else f"results/datasets/{name}/test.jsonl"
                    )
                )
    return files


def source_files(rows):
    """Everything that some experiments read from outside the workflow: what was fetched, the
    user's own files, and the table of experiments."""
    own = [path for spec in sources_in_use(rows) for path in path_of(spec)]
    return [*network_files(rows), *dict.fromkeys(own), local(config["experiments"])]


def corpus_code(corpus):
    """The digest of what reads this corpus, or takes its text from another part's words."""
    columns = [f"semantic_tokens.data.datasets.{module}" for module in ("canonical", "conll")]
    passages = [f"semantic_tokens.data.datasets.{module}" for module in ("sources", "squad")]
    other_parts = {
        "emoji_names": ["semantic_tokens.data.lexicons.package_words"],
        "miniature": [
            "semantic_tokens.data.miniature",
            "semantic_tokens.data.lexicons.package_words",
        ],
        "conll_sentences": columns,
        "squad_contexts": passages,
        **dict.fromkeys(("hf", "wikipedia"), ["semantic_tokens.data.hub_tables"]),
    }
    return code_digest(
        "semantic_tokens.data.corpora",
        "semantic_tokens.data.languages",
        "semantic_tokens.data.seen",
        "semantic_tokens.text_files",
        *other_parts.get(config["corpora"][corpus]["reader"], []),
    )


def dataset_code(dataset):
    """The digest of what makes this dataset: the generator, or the readers."""
    if config["datasets"][dataset]["reader"] == "miniature":
        modules = ["data.miniature", "data.lexicons.package_words", "data.languages"]
    else:
        modules = ["data.datasets", "data.hub_tables", "data.languages", "data.seen", "text_files"]
    return code_digest(*(f"semantic_tokens.{module}" for module in modules))


def task_inputs(wildcards):
    """The data of a task, cut by this recipe's tokenizer."""
    dataset = config["tasks"][wildcards.task]["dataset"]
    ranking = dataset_kind(dataset) == "ranking"
    tables = SPLITS + ["passages"] if ranking else SPLITS
    backbone = original(wildcards.backbone)
    folder = f"results/tokenized/{backbone}/{segmentation(wildcards)}/{dataset}"
    files = {
        "tokenized": located(f"{folder}/{table}.parquet" for table in tables),
        "dataset": located(f"results/datasets/{dataset}/{split}.jsonl" for split in SPLITS),
    }
    if ranking:
        lists = (f"results/candidates/{dataset}/{split}.jsonl" for split in SPLITS)
        files["candidates"] = located(lists)
    return files


def task_code(wildcards):
    """The digest of what trains and scores this kind of task."""
    kind = config["tasks"][wildcards.task]["kind"]
    modules = ["grouping.groups", "tokenization.vocabulary"]
    modules += ["tokenization.special_tokens", "tokenization.tables"]
    parts = ["run", "task", "predictions", "scored_items", kind]
    if kind in ("reranking", "retrieval"):
        parts += ["retrieval_data"]
        modules += ["data.ranking"]
    if kind == "retrieval":
        parts += ["bi_encoder"]
    modules += [f"tasks.{module}" for module in parts]
    return code_digest(*MODELING, *TRAINING, *(f"semantic_tokens.{module}" for module in modules))


def score_files(rows, tasks=TASKS):
    """The scores of some experiments, for every shown task (or some of them) and seed."""
    scores = own("results/scores")
    return [
        f"{scores}/{recipe.path}/{task}/{row.training}/seed-{seed_in(seed, replicate)}.json"
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
    return located(sorted({f"results/backbones/{row.recipe.backbone}/config.json" for row in rows}))


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
        "gpus_per_job": config["gpus_per_job"],
    }


def plan_downloads(rows):
    """What comes over the network for some experiments, and how much of it is known."""
    names = [Path(file).stem for file in network_files(rows)]
    return {name: {**config["wheels"], **config["downloads"]}[name] for name in names}


def plan_pool_depths():
    """By ranking dataset, how deep in BM25's lists its tasks look: no pool may be less deep."""
    depths = {}
    for task in config["tasks"].values():
        for option, kinds in POOLED_DEPTHS.items():
            if task["kind"] in kinds:
                depth = min(task["options"].get(option, 100), config["bm25"]["depth"])
                depths[task["dataset"]] = max(depth, depths.get(task["dataset"], 1))
    return depths


def jobs_at_once():
    """How many trainings run side by side with the options of this command."""
    settings = workflow.resource_settings
    limits = [settings.nodes or settings.cores or 1]
    gpus = workflow.global_resources.get("gpu").value
    if config["gpus_per_job"] and gpus is not None:
        limits.append(int(gpus) // config["gpus_per_job"])
    return max(1, min(limits))


def plan_command():
    """The end of a command that runs what a budget buys."""
    files = [os.path.relpath(path) for path in workflow.config_settings.configfiles]
    files.append(f"{PREFIX}results/budget/config.yaml")
    return f"--configfile {shlex.join(files)} -- {PREFIX}results/table5.csv"


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
    return located(f"{folder}/kmeans-cosine-{wildcards.grouping.rpartition('-')[2]}.safetensors")


def subword_counts(wildcards):
    """How often each subword occurs in the corpora; of a replicate, as of its backbone."""
    backbone = original(wildcards.backbone)
    return located(f"results/tokenized/{backbone}/original/subword_counts.safetensors")


def baselines_of(task):
    """What of this task needs no model."""
    is_ranking = config["tasks"][task]["kind"] in ("reranking", "retrieval")
    return ["chance", "bm25"] if is_ranking else ["chance"]


def baseline_files(tasks):
    """The items of what needs no model, for the tests against it."""
    return located(
        f"results/baselines/{baseline}/{task}.items.parquet"
        for task in tasks
        for baseline in baselines_of(task)
    )


def chance_files(tasks):
    """Chance in these tasks, with the rule that it follows."""
    return located(f"results/baselines/chance/{task}.json" for task in tasks)


def baseline_inputs(wildcards):
    """The examples that a baseline is scored on, and the rankings or passages that it needs."""
    task = config["tasks"][wildcards.task]
    folder, split = f"results/datasets/{task['dataset']}", config["evaluation_split"]
    files = {
        "train": located(f"{folder}/train.jsonl"),
        "test": located(f"{folder}/{split}.jsonl"),
    }
    if wildcards.baseline == "bm25" or task["kind"] == "reranking":
        files["candidates"] = located([f"results/candidates/{task['dataset']}/{split}.jsonl"])
    elif task["kind"] == "retrieval":
        place = "pools" if pool_of(task["dataset"]) else "datasets"
        files["passages"] = located([f"results/{place}/{task['dataset']}/passages.jsonl"])
    return files


def baseline_code(wildcards):
    """The digest of what scores a baseline: with the metric of its kind of task."""
    kind = config["tasks"][wildcards.task]["kind"]
    metric = "data.ranking" if kind in ("reranking", "retrieval") else f"tasks.{kind}"
    modules = ["evaluation.baselines", "tasks.scored_items"]
    if kind != "pair_classification":
        modules.append(metric)
    return code_digest(*(f"semantic_tokens.{module}" for module in modules))
