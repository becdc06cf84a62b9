"""Matrices of word embeddings: on disk, aligned across languages, and with fewer dimensions."""
