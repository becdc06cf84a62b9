"""Miniature tasks of the default profile, generated from real names and words.

They stand in for benchmarks where no network is, and are never called by a benchmark's name:
sentence templates written for the project, filled with people's names (Faker), countries and
dates (CLDR) and nouns (names of pictures), in ten languages and six scripts. No name, noun or
template of one split occurs in another. Shared are dates, legal forms of companies, the words
for six kinds of things, and what words the templates themselves have in common.
"""

from semantic_tokens.data.miniature.datasets import GENERATORS, generate, texts

__all__ = ["GENERATORS", "generate", "texts"]
