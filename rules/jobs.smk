# What a job is told and given: parameters that make nothing stale, seeds, memory and time.
from semantic_tokens.study.replicates import split_replicate
from semantic_tokens.study.replicates import reseeded


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


def checkpointing(options):
    """How often a training is kept on disk, which decides nothing of what it learns."""
    return {k: v for k, v in options["training"].items() if k == "checkpoint_every"}


def shown_training(options):
    """What Table 2 shows of a training: what a device takes at a time is left out."""
    hidden = ("checkpoint_every", "device_batch_size")
    return {"training": {k: v for k, v in options["training"].items() if k not in hidden}}


def own_seeds(options, wildcards):
    """A step's options, with the seeds of the replicate that the job is of."""
    return reseeded(options, split_replicate(wildcards.backbone)[1])


def rows_as_params(rows):
    """Experiments as plain values, so that a change of one makes the tables stale."""
    return [row.as_dict() for row in rows]


def jobs_at_once():
    """How many trainings run side by side with the options of this command."""
    settings = workflow.resource_settings
    limits = [settings.nodes or settings.cores or 1]
    gpus = workflow.global_resources.get("gpu").value
    if config["gpus_per_job"] and gpus is not None:
        limits.append(int(gpus) // config["gpus_per_job"])
    return max(1, min(limits))
