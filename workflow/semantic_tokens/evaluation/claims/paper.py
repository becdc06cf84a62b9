"""The paper's claims (sections 4.1 to 4.5, Appendices B, C, E and F)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from semantic_tokens.evaluation.claims.statistics import (
    Value,
    alignment_helps,
    alignment_helps_more_at_low_ratios,
    alignment_never_hurts,
    backbones_are_alike,
    cosine_is_better,
    falls,
    first_k_is_similar,
    first_k_loses_more,
    grouping_goes_further_than_reduction,
    grouping_is_as_good_at_few_dimensions,
    keeps,
    kmeans_beats_lexicons,
    languages_are_hit_alike,
    languages_follow_tasks_and_data,
    meaning_counts,
    more_lexicons_are_better,
    pretraining_helps,
    reduction_falls_sharply,
    retrieval_does_not_transfer,
    retrieval_is_more_sensitive,
    retrieval_transfers,
    slope_flattens,
    transfer_is_on_par,
)
from semantic_tokens.evaluation.claims.study import CLASSIFICATION, RETRIEVAL, MeasuredStudy


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes:
        topic: for example ``ratio``.
        section: the section of the paper.
        text: the claim in the paper.
        statistic: the statistic in words.
        measure: a study -> task -> the statistic; ``all`` if the claim is about all tasks together.
        bound: the claim holds if the statistic is above it.
        is_below: the claim holds if the statistic is below the bound.
        is_on_par: whether the bound is the study's margin, negative unless ``is_below``.
        is_similar: the claim holds if the statistic is within the study's margin on both sides.
        needs: the experiments that it needs.
    """

    topic: str
    section: str
    text: str
    statistic: str
    measure: Callable[[MeasuredStudy], dict[str, Value]]
    needs: str
    bound: float = 0.0
    is_below: bool = False
    is_on_par: bool = False
    is_similar: bool = False

    def range_in(self, study: MeasuredStudy) -> tuple[float, float]:
        """The values of the statistic with which the claim holds."""
        if self.is_similar:
            return -study.margin, study.margin
        bound = self.bound
        if self.is_on_par:
            bound = study.margin if self.is_below else -study.margin
        return (-math.inf, bound) if self.is_below else (bound, math.inf)


CLAIMS = (
    Claim(
        "ratio", "4.1", "Scores fall with the grouping ratio.",
        "points of perc lost with each halving of the ratio, by K-Means with and without "
        "pretraining",
        falls, "K-Means at two ratios or more, and the ungrouped model",
    ),
    Claim(
        "ratio", "4.1", "Without pretraining, grouping keeps over 90% in classification with 10% of "
        "the vocabulary.",
        "perc at 10%, not pretrained",
        keeps(CLASSIFICATION, 0.1, "asis"), "K-Means at 10%, not pretrained", bound=90,
    ),
    Claim(
        "ratio", "4.1", "After pretraining, 5% of the vocabulary keep over 90% in classification.",
        "perc at 5%, pretrained",
        keeps(CLASSIFICATION, 0.05, "mlm"), "K-Means at 5%, pretrained", bound=90,
    ),
    Claim(
        "ratio", "4.1", "After pretraining, 20% of the vocabulary keep over 85% in retrieval.",
        "perc at 20%, pretrained",
        keeps(RETRIEVAL, 0.2, "mlm"), "K-Means at 20%, pretrained", bound=85,
    ),
    Claim(
        "ratio", "4.1", "Retrieval is more sensitive to grouping than classification.",
        "perc of classification minus perc of retrieval, at the smallest ratio, pretrained",
        retrieval_is_more_sensitive, "pretrained K-Means in tasks of both types",
    ),
    Claim(
        "pretraining", "4.1", "Continual pretraining helps grouped models.",
        "points of perc with pretraining minus without, over all ratios and both alignments",
        pretraining_helps, "K-Means with and without pretraining",
    ),
    Claim(
        "First-k", "4.1", "At 40%, First-k is similar to grouping.",
        "points of perc, First-k minus K-Means at the largest ratio",
        first_k_is_similar, "First-k and K-Means at one ratio",
        is_similar=True,
    ),
    Claim(
        "First-k", "4.1", "Below 40%, First-k loses much more than grouping.",
        "points of perc, K-Means minus First-k at all smaller ratios",
        first_k_loses_more, "First-k and K-Means at smaller ratios",
    ),
    Claim(
        "CLSA", "4.1", "With CLSA, scores are consistently higher or similar.",
        "points of perc with CLSA minus without, at the ratio with the lowest difference",
        alignment_never_hurts, "K-Means with and without CLSA", is_on_par=True,
    ),
    Claim(
        "CLSA", "4.1", "CLSA helps.",
        "points of perc with CLSA minus without, over all ratios",
        alignment_helps, "K-Means with and without CLSA",
    ),
    Claim(
        "CLSA", "4.1", "CLSA helps more at lower ratios.",
        "the gain from CLSA at the smallest ratio minus the gain at the largest",
        alignment_helps_more_at_low_ratios, "K-Means with and without CLSA at two ratios",
    ),
    Claim(
        "semantics", "4.2", "Scores are kept because of grouping by meaning, and not only because of sharing.",
        "points of perc, K-Means minus random groups of the same sizes",
        meaning_counts, "random groups (`controls`) and K-Means at one ratio",
    ),
    Claim(
        "DR", "4.2", "At the smallest ratio, few dimensions are on par with all of them.",
        "points of perc, smallest grouped dimension minus full dimension",
        grouping_is_as_good_at_few_dimensions, "the experiments of Figures 4 and 5",
        is_on_par=True,
    ),
    Claim(
        "DR", "4.2", "The curve over the ratio is flatter at few dimensions.",
        "points of perc lost with each halving of the ratio, full dimension minus smallest",
        slope_flattens, "the experiments of Figures 4 and 5 at three ratios or more",
    ),
    Claim(
        "DR", "4.2", "Reduction without grouping keeps scores down to a dimension, and falls sharply below it.",
        "points of perc lost below the smallest grouped dimension, minus those lost above it",
        reduction_falls_sharply, "the experiments of Figure 6",
    ),
    Claim(
        "DR", "4.2", "With equally few parameters, grouping keeps scores while reduction without grouping fails.",
        "points of perc, grouped minus the reduced model of as many parameters or more",
        grouping_goes_further_than_reduction, "the experiments of Figures 5 and 6",
    ),
    Claim(
        "backbones", "4.3", "Other backbones lose as much as the main one.",
        "points of perc of the backbone's own ungrouped score, other backbones minus the main one, "
        "mean over their common ratios",
        backbones_are_alike, "the experiments of Figures 4 and 7",
        is_similar=True,
    ),
    Claim(
        "transfer", "4.5", "Zero-shot, grouped models are on par with the ungrouped one or better, "
        "in question answering and reranking at 40% and 20%.",
        "points of perc of the zero-shot oracle, less 100",
        transfer_is_on_par, "the experiments of Figure 9 at 40% and 20%", is_on_par=True,
    ),
    Claim(
        "transfer", "4.5", "Zero-shot retrieval keeps over 70% at 20%.",
        "perc of the zero-shot oracle at 20%",
        retrieval_transfers, "the experiments of Figure 9 at 20%", bound=70,
    ),
    Claim(
        "transfer", "4.5", "Zero-shot retrieval keeps less than 50% below 20%.",
        "perc of the zero-shot oracle at 10%",
        retrieval_does_not_transfer, "the experiments of Figure 9 at 10%",
        bound=50, is_below=True,
    ),
    Claim(
        "languages", "C", "Grouping hurts the same languages in tasks that share data or type.",
        "Pearson's ρ of the languages' relative drops, mean of pairs II and III of Figure 10",
        languages_are_hit_alike, "Figure 10 with pairs of groups II or III",
    ),
    Claim(
        "languages", "C", "The effect is less similar in tasks that share neither.",
        "Pearson's ρ, pairs II and III minus pairs I",
        languages_follow_tasks_and_data, "Figure 10 with pairs of all groups",
    ),
    Claim(
        "lexicons", "B", "CLSA on all lexicons is best.",
        "points of perc, all lexicons minus fewer",
        more_lexicons_are_better, "the experiments of Figure 11",
    ),
    Claim(
        "distance", "E", "Cosine distance is better than Euclidean at full dimension.",
        "points of perc, cosine minus Euclidean",
        cosine_is_better, "the experiments of Figure 12",
    ),
    Claim(
        "lexicons", "F", "K-Means is better than grouping by lexicons, which groups less.",
        "points of perc of the oracle of Table 4, K-Means minus lexicons",
        kmeans_beats_lexicons, "the experiments of Table 4",
    ),
)  # fmt: skip
