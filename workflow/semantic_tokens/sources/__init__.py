"""External files: downloads and package archives, and their formats."""
