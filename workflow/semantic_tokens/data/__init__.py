"""Texts and words: lexicons, corpora, datasets, and what reads and ranks them."""
