"""The paper's figures, drawn from scores and groups.

:mod:`semantic_tokens.study.figures` chooses the experiments of each figure.
"""
