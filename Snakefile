# Semantic tokens: the DAG's front door. Every stage of the paper has a rule file of its name.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


onstart:
    record(config, PREFIX)
    # Snakemake's own limit of a hundred starts a second costs a look at all waiting jobs every
    # second, and one more such round for every finished job: after some hundred jobs it is busy
    # with nothing else. Neither one machine nor a cluster comes near it; one that is asked for stays.
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit is not None and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None
    if workflow.executor_plugin.name == "slurm":
        SLURM_FAILURES.watch(workflow.scheduler._executor, logger)


onerror:
    SLURM_FAILURES.tell()


# What the rules share: no file of these runs a job.
include: "rules/package.smk"
include: "rules/config.smk"
include: "rules/paths.smk"
include: "rules/code.smk"
include: "rules/jobs.smk"
include: "rules/report.smk"
include: "rules/inputs.smk"
include: "rules/outside.smk"
include: "rules/scores.smk"
include: "rules/shown.smk"
include: "rules/targets.smk"
# The stages, in the order of the paper, and what is shown of them.
include: "rules/sources.smk"
include: "rules/backbones.smk"
include: "rules/lexicons.smk"
include: "rules/corpora.smk"
include: "rules/datasets.smk"
include: "rules/replicates.smk"
include: "rules/tokenize.smk"
include: "rules/align.smk"
include: "rules/reduce.smk"
include: "rules/group.smk"
include: "rules/group_controls.smk"
include: "rules/pretrain.smk"
include: "rules/export.smk"
include: "rules/finetune.smk"
include: "rules/baselines.smk"
include: "rules/tables.smk"
include: "rules/tables_of_scores.smk"
include: "rules/claims.smk"
include: "rules/quality.smk"
include: "rules/figures.smk"
include: "rules/inspection.smk"
include: "rules/explorer.smk"
include: "rules/plan.smk"
include: "rules/provenance.smk"


rule all:
    default_target: True
    input:
        RESULTS,
        PROVENANCE,


rule download:
    # Everything that comes over the network and nothing else: for machines whose compute
    # nodes have none.
    input:
        network_files(EXPERIMENTS),
        hub_readings(EXPERIMENTS),
