# Semantic tokens: the entry of the workflow. Each stage of the paper has a rule file.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


onstart:
    # The configuration is that of the run's results. The plan and downloads make none.
    if any(job.rule.name not in ("plan", "download") for job in workflow.dag.targetjobs):
        record(config, PREFIX)
    # Snakemake's default limit of a hundred job starts per second makes it check all waiting jobs every
    # second, and again for every finished job. After some hundred jobs this takes most of its time.
    # The limit is never reached, so it is removed, unless the user has set one.
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit is not None and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None
    if workflow.executor_plugin.name == "slurm":
        SLURM_FAILURES.watch(workflow.scheduler._executor, logger)


onerror:
    if workflow.executor_plugin.name == "slurm":
        SLURM_FAILURES.tell()
    elif failures := summary_of_failures(log):
        logger.error(failures)


# Shared functions and values; these files have no jobs.
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
include: "rules/planned.smk"
# The stages in the order of the paper, then tables and figures.
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
    # Fetch everything that needs a network, for compute nodes without one.
    input:
        network_files(EXPERIMENTS),
        hub_readings(EXPERIMENTS),
