"""The comparison of two runs: their common scores, and the differences in how they were made.

Differences are tested as in :mod:`semantic_tokens.evaluation.significance`, by the paired bootstrap
over test items, and over trainings if there are several.
"""
