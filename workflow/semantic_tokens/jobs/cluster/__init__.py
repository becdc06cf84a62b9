"""A study on a SLURM cluster: what its jobs ask for and use, and why some of them fail."""
