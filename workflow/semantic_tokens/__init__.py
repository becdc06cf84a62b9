"""Semantic tokens: how much of a multilingual model's understanding rests on shared subword meaning."""

__version__ = "0.1.0"
