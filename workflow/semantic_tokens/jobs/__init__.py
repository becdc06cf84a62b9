"""The environment of jobs: logs, GPUs, processes, the cluster, and the Snakemake run."""
