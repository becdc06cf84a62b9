"""The paper's claims, each with the statistic, interval and verdict of a study (sections 4.1 to
4.5, Appendices B, C, E and F).

Scores are percentages of an oracle's score, as the paper's ``perc``. The oracle is the pretrained
ungrouped main backbone, unless a claim needs another. A statistic is computed on the scores and on
every sample of :mod:`semantic_tokens.evaluation.bootstrap`, which gives its interval. A claim holds
if the entire interval is on its side of the bound, is contradicted if it is entirely on
the other side, and is undecided otherwise.
"""
