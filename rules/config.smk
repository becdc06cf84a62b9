# The configuration and the table of experiments: reading, validation, and the layout of the run.
import copy
import os
import re
import sys
from pathlib import Path

from snakemake.common.configfile import load_configfile
from snakemake.logging import logger
from snakemake.utils import update_config

from semantic_tokens.errors import InputError
from semantic_tokens.jobs.cluster.failures import Failures
from semantic_tokens.jobs.failed_jobs import summary_of_failures
from semantic_tokens.jobs.gpu_devices import gpu_limit
from semantic_tokens.jobs.snakemake_run import begin_run
from semantic_tokens.study.configuration import validate_config
from semantic_tokens.study.experiments import check_target, read_experiments
from semantic_tokens.study.figures import check_figures
from semantic_tokens.data.readers import check_readers, check_trainings
from semantic_tokens.study.recipe import PATTERNS
from semantic_tokens.study.runs import BASE, layout_of, record
from semantic_tokens.study.targets import without_files_of_options

begin_run(Path(".snakemake").resolve(), takes_lock=workflow.is_main_process and not workflow.dryrun)

SCHEMA = workflow.source_path("../config/schemas/config.schema.json")


def requested_files():
    """The files that the command line requests, below results or resources.

    Snakemake knows its targets only after it has read the rules."""
    if not workflow.is_main_process or (IS_MODULE and not PREFIX):
        return []  # the files of a job, or among another workflow's
    words = without_files_of_options(sys.argv[1:])
    paths = [os.path.relpath(word or ".").removeprefix(PREFIX) for word in words]
    return [path for path in paths if path.startswith(("results/", "resources/"))]


def stop(error):
    """End with one line, without an exception, which would name this file."""
    logger.error(f"Error: {error}")
    sys.exit(1)


def default_profile():
    """The default profile, over which all others are merged; None if there is no such file."""
    if IS_MODULE:
        profile = load_configfile(workflow.source_path("../config/config.yaml"))
        profile["experiments"] = workflow.source_path("../config/experiments.tsv")
        return profile
    path = Path("config/config.yaml")
    return load_configfile(path) if path.is_file() else None


def base_configuration():
    """The default profile for the run without a name; None if it belongs to a named run."""
    profile = default_profile()
    if profile is None or profile.get("run", BASE) != BASE:
        return None
    try:
        validate_config(profile, SCHEMA)
    except InputError:  # it needs the files that are merged over it
        return None
    return profile


if IS_MODULE:
    # The configuration of the other workflow is merged over the default profile.
    default = default_profile()
    update_config(default, copy.deepcopy(dict(config)))
    config = default

try:
    validate_config(config, SCHEMA)
    check_readers(config)
    EXPERIMENTS = read_experiments(
        config["experiments"],
        config,
        workflow.source_path("../config/schemas/experiments.schema.json"),
    )
    check_trainings(EXPERIMENTS, config)
    check_figures(EXPERIMENTS, config)
    LAYOUT = layout_of(config, base_configuration, PREFIX)
    for requested in requested_files():
        LAYOUT.check_target(requested)
        check_target(requested, config)
except InputError as error:
    stop(error)

# On one machine, the number of parallel GPU jobs is the number of GPUs, or as --resources gpu=… says. A
# cluster counts its own GPUs. Each job reserves its GPUs (semantic_tokens.jobs.gpu_devices).
if (
    config["gpus_per_job"]
    and workflow.is_main_process
    and workflow.resource_settings.nodes is None  # what Snakemake tells a cluster by, too
    and "gpu" not in workflow.global_resources
):
    gpus = gpu_limit(config["gpus_per_job"])
    if gpus is not None:
        workflow.global_resources["gpu"] = gpus

#: Collects the messages about failed SLURM jobs; empty elsewhere.
SLURM_FAILURES = Failures()
TASKS = config["tasks_shown"]
SPLITS = ["train", "dev", "test"]
GROUPS = "{backbone}/{alignment}/{dimension}/{grouping}"
RECIPE = f"{GROUPS}/{{pretraining}}"


if IS_MODULE and workflow.is_main_process and not workflow.output_settings.dryrun:
    record(config, PREFIX)  # the Snakefile's onstart is not part of a module


wildcard_constraints:
    **PATTERNS,
    # The folder of the run with the shared file, with a slash, or empty.
    run_folder=f"({'|'.join(map(re.escape, LAYOUT.folders))})",
    segmentation=r"original|firstk-[0-9.]+",
    task=r"[a-z0-9_]+",
    dataset=r"[a-z0-9_]+",
    download=r"[a-z0-9_]+",
    corpus=r"[a-z0-9_]+",
    lexicon=r"[A-Za-z0-9_]+",
    training=r"all-languages|[a-z]{3}",
    seed=r"\d+",
