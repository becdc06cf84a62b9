"""What a study consists of: its configuration, recipes, figures, replicates and runs."""
