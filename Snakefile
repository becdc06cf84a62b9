# Semantic tokens: the DAG's front door. Every stage of the paper has a rule file of its name.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


onstart:
    # Snakemake limits how many jobs start in a second, and for that looks at all waiting jobs
    # again a second after each look; every finished job begins another such round, so that after
    # some hundred jobs it is busy with nothing else. On one machine the cores are limit enough.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


include: "rules/common.smk"
include: "rules/sources.smk"
include: "rules/backbones.smk"
include: "rules/lexicons.smk"
include: "rules/corpora.smk"
include: "rules/datasets.smk"
include: "rules/tokenize.smk"
include: "rules/align.smk"
include: "rules/reduce.smk"
include: "rules/group.smk"
include: "rules/pretrain.smk"
include: "rules/finetune.smk"
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
