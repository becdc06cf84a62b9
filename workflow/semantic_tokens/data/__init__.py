"""Lexicons, corpora and datasets: readers, ranking by BM25, and generated data."""
