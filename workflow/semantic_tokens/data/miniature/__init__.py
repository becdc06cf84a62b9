"""Miniature tasks of the default profile, generated from real names and words.

They replace benchmarks without a network, and never have a benchmark's name. Sentence templates of
this project are filled with people's names (Faker), countries and dates (CLDR) and nouns (names of
pictures), in ten languages and six scripts. No name, noun or template is in two splits. The splits
share dates, legal forms of companies, the words for six kinds of things, and some words in
templates.
"""

from semantic_tokens.data.miniature.datasets import GENERATORS, generate, texts

__all__ = ["GENERATORS", "generate", "texts"]
