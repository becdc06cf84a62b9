"""The parts of a study: configuration, recipes, figures, replicates and runs."""
