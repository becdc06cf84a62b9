"""Semantic grouping: which subwords share one semantic token (paper, section 2.1)."""
