import pandas as pd
import pytest

from semantic_tokens.orderings import COLUMNS, orderings, write_orderings
from semantic_tokens.tables import Task

TASK = Task("ner", "token_classification", "f1")

FALLS, PRETRAINING = "falls with the ratio", "pretraining helps"
ALIGNMENT, FIRST_K = "alignment helps", "first-k falls fastest"


def judge(scores: dict[str, float]) -> pd.DataFrame:
    """The findings on scores by ``backbone/alignment/dimension/grouping/pretraining``."""
    parts = ("backbone", "alignment", "dimension", "grouping", "pretraining")
    rows = [
        dict(zip(parts, path.split("/"), strict=True)) | {"training": "all-languages"}
        for path in scores
    ]

    def record_of(row, task, seed):
        assert (task, seed) == ("ner", 7)
        return {"value": scores["/".join(row[part] for part in parts)]}

    return orderings(rows, [TASK], [7], record_of)


def curve(values: dict[str, float], template: str) -> dict[str, float]:
    return {template.format(grouping): value for grouping, value in values.items()}


def verdicts(findings: pd.DataFrame) -> dict[str, str]:
    return dict(findings.loc[findings["comparison"] == "all", ["ordering", "holds"]].values)


def lines(findings: pd.DataFrame, ordering: str) -> list[tuple[str, str, str]]:
    """Comparison, verdict and statistic of one ordering, the verdict over all of them last."""
    chosen = findings[findings["ordering"] == ordering]
    return [tuple(line) for line in chosen[["comparison", "holds", "statistic"]].values]


K_MEANS = {
    "ungrouped": 0.80,
    "kmeans-cosine-0.4": 0.78,
    "kmeans-cosine-0.1": 0.70,
    "kmeans-cosine-0.05": 0.60,
}
PLAIN = curve(K_MEANS, "b/unaligned/dfull/{}/asis")


def test_what_was_not_trained_is_not_measured():
    findings = judge({"b/unaligned/dfull/ungrouped/asis": 0.8})
    assert list(findings) == list(COLUMNS)
    assert verdicts(findings) == dict.fromkeys(
        (FALLS, PRETRAINING, ALIGNMENT, FIRST_K), "not measured"
    )
    assert set(findings["statistic"]) == {""}


def test_a_falling_curve():
    name = "b/unaligned/dfull/kmeans-cosine/asis/all-languages"
    assert lines(judge(PLAIN), FALLS) == [(name, "yes", "1.0000"), ("all", "yes", "1.0000")]


def test_one_rise_and_an_even_step():
    findings = judge(PLAIN | {"b/unaligned/dfull/kmeans-cosine-0.05/asis": 0.72})
    # pairs of (1, .4, .1, .05) with (.80, .78, .70, .72): five in order, one not: (5 - 1) / 6
    assert lines(findings, FALLS)[0][1:] == ("no", "0.6667")
    assert "5% is 0.0200 above 10%" in findings["detail"].iloc[0]
    even = judge(PLAIN | {"b/unaligned/dfull/kmeans-cosine-0.4/asis": 0.80})
    assert lines(even, FALLS)[0][1] == "yes"


def test_a_flat_curve_does_not_fall():
    flat = judge(dict.fromkeys(PLAIN, 0.33))
    assert lines(flat, FALLS)[0][1:] == ("no", "0.0000")
    assert verdicts(flat)[FALLS] == "no"


@pytest.mark.parametrize("missing", ["ungrouped", "kmeans-cosine-0.4"])
def test_a_curve_needs_its_full_vocabulary_and_three_ratios(missing):
    scores = {"ungrouped": 0.8, "kmeans-cosine-0.4": 0.7, "kmeans-cosine-0.05": 0.6}
    del scores[missing]
    assert verdicts(judge(curve(scores, "b/unaligned/d32/{}/mlm")))[FALLS] == "not measured"


def test_an_aligned_curve_starts_from_its_own_full_vocabulary_else_from_the_unaligned():
    aligned = {"kmeans-cosine-0.4": 0.7, "kmeans-cosine-0.05": 0.6}
    scores = curve(aligned, "b/clsa-muse/dfull/{}/asis") | {"b/unaligned/dfull/ungrouped/asis": 0.9}
    assert "from 0.9000 at 100%" in judge(scores)["detail"].iloc[0]
    own = judge(scores | {"b/clsa-muse/dfull/ungrouped/asis": 0.65})
    assert "from 0.6500 at 100%" in own["detail"].iloc[0]
    assert lines(own, FALLS)[0][1] == "no"


def test_pretraining_is_judged_by_pairs_that_differ_in_nothing_else():
    scores = {
        "b/unaligned/dfull/kmeans-cosine-0.4/asis": 0.50,
        "b/unaligned/dfull/kmeans-cosine-0.4/mlm": 0.60,
        "b/unaligned/dfull/kmeans-cosine-0.05/asis": 0.40,
        "b/unaligned/dfull/kmeans-cosine-0.05/mlm": 0.36,
        "b/unaligned/d32/kmeans-cosine-0.05/mlm": 0.90,  # no partner
        "b/unaligned/dfull/ungrouped/asis": 0.10,  # not grouped
        "b/unaligned/dfull/ungrouped/mlm": 0.90,
        "b/unaligned/dfull/firstk-0.4/asis": 0.10,  # not K-Means
        "b/unaligned/dfull/firstk-0.4/mlm": 0.90,
    }
    assert lines(judge(scores), PRETRAINING) == [
        ("b/unaligned/dfull/kmeans-cosine-0.4/mlm/all-languages", "yes", "0.1000"),
        ("b/unaligned/dfull/kmeans-cosine-0.05/mlm/all-languages", "no", "-0.0400"),
        ("all", "yes", "0.0300"),
    ]


def test_one_large_gain_does_not_outvote_two_losses_nor_two_gains_one_large_loss():
    def pretrained(*gains: float) -> str:
        scores = {}
        for backbone, gain in zip("abc", gains, strict=True):
            scores[f"{backbone}/unaligned/dfull/kmeans-cosine-0.4/asis"] = 0.5
            scores[f"{backbone}/unaligned/dfull/kmeans-cosine-0.4/mlm"] = 0.5 + gain
        return verdicts(judge(scores))[PRETRAINING]

    assert pretrained(0.3, -0.1, -0.1) == "no"
    assert pretrained(0.1, 0.1, -0.3) == "no"
    assert pretrained(0.1, 0.1, -0.1) == "yes"


def test_alignment_is_judged_at_five_percent_and_for_each_set_of_lexicons():
    scores = {
        "b/unaligned/dfull/kmeans-cosine-0.05/asis": 0.40,
        "b/clsa-muse/dfull/kmeans-cosine-0.05/asis": 0.45,
        "b/clsa-muse+panlex/dfull/kmeans-cosine-0.05/asis": 0.47,
        "b/unaligned/dfull/kmeans-cosine-0.4/asis": 0.90,  # another ratio
        "b/clsa-muse/dfull/kmeans-cosine-0.4/asis": 0.10,
    }
    assert lines(judge(scores), ALIGNMENT) == [
        ("b/clsa-muse/dfull/kmeans-cosine-0.05/asis/all-languages", "yes", "0.0500"),
        ("b/clsa-muse+panlex/dfull/kmeans-cosine-0.05/asis/all-languages", "yes", "0.0700"),
        ("all", "yes", "0.0600"),
    ]


@pytest.mark.parametrize(
    ("first_k", "verdict", "statistic"),
    [
        ({"firstk-0.4": 0.78, "firstk-0.05": 0.20}, "yes", "0.4000"),
        ({"firstk-0.4": 0.79, "firstk-0.05": 0.20}, "no", "0.4000"),  # above K-Means once
        ({"firstk-0.4": 0.50, "firstk-0.05": 0.60}, "no", "0.0000"),  # no larger loss in the end
        ({"firstk-0.2": 0.10}, "not measured", ""),  # K-Means has no such ratio
    ],
)
def test_first_k_is_compared_where_both_were_trained(first_k, verdict, statistic):
    findings = judge(PLAIN | curve(first_k, "b/unaligned/dfull/{}/asis"))
    assert lines(findings, FIRST_K)[-1] == ("all", verdict, statistic)


def test_first_k_is_compared_with_k_means_of_its_own_operations():
    other = curve({"firstk-0.05": 0.1}, "b/unaligned/dfull/{}/mlm")
    assert verdicts(judge(PLAIN | other))[FIRST_K] == "not measured"


def test_the_file_says_what_the_findings_say(tmp_path):
    findings = judge(PLAIN)
    write_orderings(findings, tmp_path / "orderings.csv")
    read = pd.read_csv(tmp_path / "orderings.csv", dtype=str, keep_default_na=False)
    assert read.equals(findings.astype(read.dtypes.to_dict()))
