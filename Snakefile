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


include: "rules/common.smk"
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
include: "rules/pretrain.smk"
include: "rules/finetune.smk"
include: "rules/baselines.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
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
