"""The tables: the paper's, and those that it lacks."""
