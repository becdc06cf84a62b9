# Parameters and resources of jobs: unrecorded parameters, seeds, memory and time.
from semantic_tokens.study.ingredients import training_spec
from semantic_tokens.study.replicates import reseeded, split_replicate


def unrecorded(value):
    """A parameter whose changes make nothing stale.

    Snakemake records parameters, and runs a job again if one has changed. It does not record parameters
    from functions of the job's input, since it assumes that they change only with the input. So this
    function has the argument ``input`` and ignores it."""

    def parameter(wildcards, input):
        return value(wildcards) if callable(value) else value

    return parameter


def scaled_by_attempt(amount):
    """A memory that is multiplied by the number of the attempt, up to ``memory_mb.maximum``: on a
    cluster, a job that exceeded its memory gets more. Changes make nothing stale."""

    def memory(wildcards, attempt):
        limit = config["memory_mb"]["maximum"]
        return amount * attempt if limit is None else max(amount, min(amount * attempt, limit))

    return memory


def minutes(amount, group=None):
    """A time limit that is multiplied by the number of the attempt, up to ``runtime_minutes.maximum``
    for all jobs in a group with this name together."""

    def limit(wildcards, attempt):
        together = workflow.group_settings.group_components.get(group, 1)
        longest = config["runtime_minutes"]["maximum"] // together
        return max(1, min(amount * attempt, longest))

    return limit


def shown_training(options):
    """The training options in Table 2, without those of the device."""
    return {"training": training_spec(options)["training"]}


def own_seeds(options, wildcards):
    """A step's options, with the seeds of the job's replicate."""
    return reseeded(options, split_replicate(wildcards.backbone)[1])


def rows_as_params(rows):
    """Experiments as plain values, so that their changes make tables stale."""
    return [row.as_dict() for row in rows]


def jobs_at_once():
    """The number of parallel trainings with the options of this command."""
    settings = workflow.resource_settings
    limits = [settings.nodes or settings.cores or 1]
    gpus = workflow.global_resources.get("gpu").value
    if config["gpus_per_job"] and gpus is not None:
        limits.append(int(gpus) // config["gpus_per_job"])
    return max(1, min(limits))
