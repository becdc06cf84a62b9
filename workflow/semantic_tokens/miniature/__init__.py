"""Miniature tasks of the default profile, generated from real names and words.

They stand in for benchmarks where no network is, and are never called by a benchmark's name:
sentence templates written for the project, filled with people's names (Faker), territories and
dates (CLDR) and nouns (names of pictures), in ten languages and six scripts. No name, noun or
template of one split occurs in another; dates, legal forms of companies and the words of the
templates themselves are shared.
"""

from semantic_tokens.miniature.tasks import GENERATORS, generate

__all__ = ["GENERATORS", "generate"]
