"""Studies on a SLURM cluster: requested and used resources, and the reasons of failures."""
