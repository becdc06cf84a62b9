"""What surrounds the work of a job: its log, its GPUs and processes, the cluster, and the Snakemake run."""
