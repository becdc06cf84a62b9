"""The paper's claims, each with the statistic, interval and verdict of a study (sections 4.1 to
4.5, Appendices B, C, E and F).

Scores are in percent of an oracle's, as the paper's ``perc``: the pretrained ungrouped main
backbone, unless a claim says otherwise. A statistic is computed once on the scores and once on
every resample of :mod:`semantic_tokens.evaluation.bootstrap`; its percentiles are the interval. A claim holds
where the whole interval is on its side of the bound, is contradicted where all of it is on the
other, and is undecided else.
"""
