import numpy as np
import pytest
from scored import even_items, even_scores

from semantic_tokens.errors import InputError
from semantic_tokens.evaluation.bootstrap import (
    Items,
    Resampling,
    gather,
    interval_of_share,
    resampled_by_language,
    scores_by_run,
)
from semantic_tokens.evaluation.scores import (
    TaskScores,
    Trainings,
    baselines_in,
    experiment_name,
    items_in,
    read_runs,
)
from semantic_tokens.tasks.scored_items import ScoredItem, write_items

ROW = {
    "backbone": "b", "alignment": "unaligned", "dimension": "dfull", "grouping": "ungrouped",
    "pretraining": "mlm", "training": "all-languages",
}  # fmt: skip


def make_items(
    earned: dict[str, np.ndarray], possible: dict[str, np.ndarray] | None = None
) -> Items:
    ids = {language: [str(n) for n in range(len(part))] for language, part in earned.items()}
    ones = {language: np.ones_like(part) for language, part in earned.items()}
    return Items(ids, earned, possible or ones, {language: [language] for language in earned})


def resampled_scores(items: Items, resampling: Resampling) -> np.ndarray:
    return np.mean([scores for _, scores in resampled_by_language(items, resampling)], axis=0)


def test_resampling_agrees_with_scipy() -> None:
    """The bootstrap of a mean and of micro-F1 gives scipy's interval."""
    from scipy.stats import bootstrap

    generator = np.random.default_rng(0)
    possible = generator.integers(1, 6, size=(120, 1, 1)).astype(float)
    earned = np.floor(generator.random((120, 1, 1)) * (possible + 1))
    resampling = Resampling(20_000, seed=1)
    drawn = resampled_scores(make_items({"eng": earned}, {"eng": possible}), resampling)[:, 0]
    expected = bootstrap(
        (earned.ravel(), possible.ravel()),
        lambda e, p, axis: e.sum(axis=axis) / p.sum(axis=axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=2,
    )
    assert drawn[0] == pytest.approx(earned.sum() / possible.sum())
    low, high = resampling.interval(drawn)
    assert low == pytest.approx(expected.confidence_interval.low, abs=0.004)
    assert high == pytest.approx(expected.confidence_interval.high, abs=0.004)
    assert drawn[1:].std() == pytest.approx(expected.standard_error, rel=0.05)


def test_interval_of_a_share_agrees_with_scipy() -> None:
    from scipy.stats import bootstrap

    generator = np.random.default_rng(0)
    possible = generator.integers(1, 6, size=120)
    earned = np.floor(generator.random(120) * (possible + 1))
    low, high = interval_of_share(earned, possible, Resampling(20_000))
    expected = bootstrap(
        (earned, possible),
        lambda e, p, axis: e.sum(axis=axis) / p.sum(axis=axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=2,
    ).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.004)
    assert interval_of_share(possible, possible, Resampling(100)) == (1.0, 1.0)


def test_languages_have_equal_weight() -> None:
    # Two items of one language, one of the other.
    earned = {"ara": np.array([[[0.5]], [[1.0]]]), "deu": np.array([[[0.0]]])}
    drawn = resampled_scores(make_items(earned), Resampling(4_000))
    assert drawn[0] == pytest.approx([0.75 / 2])
    assert set(np.unique(drawn)) == {
        0.25,
        0.375,
        0.5,
    }  # the worse item twice, both items, the better item twice
    assert drawn.mean() == pytest.approx(0.375, abs=0.005)


def test_seeds_are_averaged_in_every_sample() -> None:
    """Equal items have no variation, and the last draws are those of each seed."""
    earned = {"ara": np.tile([[[0.2, 0.6]]], (3, 1, 1))}
    assert scores_by_run(make_items(earned))["ara"].tolist() == [pytest.approx([0.2, 0.6])]
    drawn = resampled_scores(make_items(earned), Resampling(100))[:, 0]
    assert drawn[:-2] == pytest.approx([0.4] * 101)
    assert drawn[-2:] == pytest.approx([0.2, 0.6])


def test_interval_of_several_trainings_is_that_of_a_t_test() -> None:
    """Without variation between items, it is the interval of a mean."""
    from scipy.stats import t, ttest_1samp

    levels = np.array([0.2, 0.25, 0.4])
    earned = {"ara": np.tile(levels, (3, 1, 1))}
    resampling = Resampling(100)
    drawn = resampled_scores(make_items(earned), resampling)[:, 0]
    expected = t.interval(0.95, 2, levels.mean(), levels.std(ddof=1) / 3**0.5)
    assert resampling.interval(drawn) == pytest.approx(expected)
    expected_p = ttest_1samp(levels, 0).pvalue
    assert resampling.p_of_no_difference(drawn) == pytest.approx(expected_p)


def test_variances_of_items_and_trainings_are_added() -> None:
    from scipy.stats import t

    generator = np.random.default_rng(4)
    items, seeds = 400, 6
    levels = 0.5 + 0.08 * generator.standard_normal(seeds)
    earned = (generator.random((items, 1, seeds)) < levels).astype(float)
    resampling = Resampling(20_000)
    low, high = resampling.interval(resampled_scores(make_items({"eng": earned}), resampling)[:, 0])
    of_items = earned.mean(axis=2).var() / items
    of_seeds = earned.mean(axis=0).var(ddof=1) / seeds
    total = of_items + of_seeds
    freedom = total**2 / (of_seeds**2 / (seeds - 1))
    assert high - low == pytest.approx(2 * t.ppf(0.975, freedom) * total**0.5, rel=0.02)
    assert (low + high) / 2 == pytest.approx(earned.mean())


@pytest.mark.parametrize(("trainings", "most"), [(2, 0.13), (3, 0.08), (5, 0.07)])
def test_equal_models_rarely_differ_with_few_trainings(trainings: int, most: float) -> None:
    """A true difference of zero is outside of about 5% of the intervals, or 10% with two trainings.
    If trainings were drawn again as items are, it would be outside of 10 to 40%."""
    generator = np.random.default_rng(trainings)
    resampling, studies, outside = Resampling(200), 2_000, 0
    for _ in range(studies):
        by_training = 0.05 * generator.standard_normal(trainings)
        noise = 0.02 * generator.standard_normal(1 + resampling.resamples)
        value = by_training.mean() + noise[0]
        low, high = resampling.interval(
            np.concatenate([[value], value + noise[1:], by_training + noise[0]])
        )
        outside += not low <= 0 <= high
    assert 0.025 < outside / studies < most


def test_seeds_of_one_replicate_count_as_one_training() -> None:
    levels = np.array([0.20, 0.22, 0.60, 0.62])
    earned = {"ara": np.tile(levels, (3, 1, 1))}
    ((_, nested),) = resampled_by_language(make_items(earned), Resampling(100), replicates=2)
    assert nested[0, 0] == pytest.approx(levels.mean())
    assert nested[-2:, 0] == pytest.approx([0.21, 0.61])
    ((_, flat),) = resampled_by_language(make_items(earned), Resampling(100))
    assert flat[-4:, 0] == pytest.approx(levels)
    assert len(flat) == 105


def test_deviations_of_seeds_and_of_replicates_are_separate() -> None:
    """The deviation of seeds within a replicate, and of the means of replicates."""
    levels = {"b": [0.2, 0.3], "b.replicate-2": [0.5, 0.8]}

    def items_of(row: dict, task: str, seed: int) -> list[ScoredItem]:
        return even_items({"eng": levels[row["backbone"]][seed % 1000 - 1]})

    runs = Trainings([1, 2], replicates=2)
    scores = TaskScores(
        "nli", {"model": read_runs(items_of, ROW, "nli", runs)}, Resampling(100), replicates=2
    )
    estimate = scores.estimate("model")
    assert estimate.value == pytest.approx(0.45)
    pooled = ((0.1**2 / 2 + 0.3**2 / 2) / 2) ** 0.5
    assert estimate.spreads == {
        "std": pytest.approx(pooled),
        "std_replicates": pytest.approx(0.4 / 2**0.5),
    }
    assert scores.in_language("model", "eng").spreads == estimate.spreads


def test_scores_of_a_replicate_have_its_name_and_seeds() -> None:
    requested = []

    def items_of(row: dict, task: str, seed: int) -> list[ScoredItem]:
        requested.append((row["backbone"], seed))
        return []

    list(read_runs(items_of, ROW, "nli", Trainings([1, 7], replicates=3)))
    assert requested == [
        *[("b", 1), ("b", 7)],
        *[("b.replicate-2", 1001), ("b.replicate-2", 1007)],
        *[("b.replicate-3", 2001), ("b.replicate-3", 2007)],
    ]


def test_draws_of_a_model_do_not_depend_on_other_models() -> None:
    generator = np.random.default_rng(5)
    earned = generator.random((30, 2, 1))
    with_another_model = resampled_scores(make_items({"eng": earned}), Resampling(500))
    single_model = resampled_scores(make_items({"eng": earned[:, :1]}), Resampling(500))
    assert with_another_model[:, 0] == pytest.approx(single_model[:, 0])


def test_tasks_share_their_draws_only_if_they_have_the_same_items() -> None:
    values = np.arange(40.0).reshape(40, 1, 1) / 40
    same, other = make_items({"eng": values}), make_items({"eng": values})
    other = other._replace(clusters={"eng": [f"other-{n}" for n in range(40)]})
    first, repeated, different = (
        resampled_scores(items, Resampling(2_000))[1:, 0] for items in (same, same, other)
    )
    assert np.array_equal(first, repeated)
    assert abs(np.corrcoef(first, different)[0, 1]) < 0.1


def test_score_without_possible_points_is_zero() -> None:
    zeros = {"ara": np.zeros((3, 1, 1))}
    items = make_items(zeros, zeros)
    assert scores_by_run(items)["ara"].tolist() == [[0.0]]
    assert resampled_scores(items, Resampling(100)).tolist() == [[0.0]] * 101


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1.0] * 99, 2 / 100),  # never 0
        ([1.0] * 90 + [-1.0] * 9, 20 / 100),
        ([0.0] * 99, 1.0),  # equal models
        ([-1.0, 1.0], 1.0),
        ([1e-16] * 99, 1.0),  # equal sums in another order
    ],
)
def test_p_value_is_two_sided(differences: list[float], expected: float) -> None:
    found = Resampling(len(differences)).p_of_no_difference(np.array([1.0, *differences]))
    assert found == pytest.approx(expected)


def test_items_are_matched_by_id_and_different_items_are_refused() -> None:
    first = [ScoredItem("a", "eng", 1.0, 1.0), ScoredItem("b", "eng", 0.0, 1.0)]
    items = gather({"one": [first], "two": [first[::-1]]}, "nli")
    assert items.earned["eng"][:, :, 0].tolist() == [[1.0, 1.0], [0.0, 0.0]]
    with pytest.raises(InputError, match=r"nli: two \(run 1\) was scored on other test"):
        gather({"one": [first], "two": [first[:1]]}, "nli")
    with pytest.raises(InputError, match="nli: there is no scored item"):
        gather({"one": [[]]}, "nli")


def coin_flips(count: int, share: float, seed: int) -> list[ScoredItem]:
    right = np.random.default_rng(seed).random(count) < share
    return [ScoredItem(f"{n:04}", "eng", float(r), 1.0) for n, r in enumerate(right)]


def test_a_guessing_model_is_at_chance_and_a_trained_one_is_not() -> None:
    chance_items = [ScoredItem(f"{n:04}", "eng", 1 / 3, 1.0) for n in range(600)]
    scores = TaskScores(
        "nli",
        {
            "guesses": [coin_flips(600, 1 / 3, 1)],
            "knows": [coin_flips(600, 0.45, 2)],
            "worse": [coin_flips(600, 0.2, 3)],
            "chance": [chance_items],
        },
        Resampling(2_000),
    )
    above = {name: scores.is_above_chance(name) for name in ("guesses", "knows", "worse")}
    assert above == {"guesses": False, "knows": True, "worse": False}
    estimate = scores.estimate("knows")
    assert estimate.low < estimate.value < estimate.high
    # sqrt(.45 * .55 / 600) is 0.02
    assert estimate.high - estimate.low == pytest.approx(4 * 0.0203, abs=0.01)
    assert scores.estimate("chance").high == pytest.approx(1 / 3)


def test_comparison_with_chance_is_paired_by_item() -> None:
    """A model that is correct on the items of chance and on a few more is above chance."""
    base = coin_flips(400, 0.5, 6)
    better = [item._replace(earned=1.0) if n < 8 else item for n, item in enumerate(base)]
    scores = TaskScores("nli", {"better": [better], "chance": [base]}, Resampling(1_000))
    intervals_overlap = scores.estimate("better").low < scores.estimate("chance").value
    assert intervals_overlap  # so an unpaired comparison would not decide
    assert scores.is_above_chance("better")


def test_score_of_a_model_trained_on_one_language_is_that_of_its_transfer() -> None:
    english = ROW | {"training": "eng"}
    by_training = {
        "eng": {"deu": 0.3, "eng": 0.9, "swa": 0.5},
        "all-languages": {"deu": 0.6, "eng": 0.9, "swa": 0.6},
    }
    scores = even_scores(
        [english, ROW], ["nli"], [1, 2], lambda row, *_: by_training[row["training"]],
        chance={"nli": 0.2},
    )  # fmt: skip
    task, (transfer, everything) = scores["nli"], map(experiment_name, (english, ROW))
    assert task.languages_of(transfer) == ["deu", "swa"]
    assert scores.of(english, "nli").value == pytest.approx(0.4)
    assert scores.of(english, "nli").std == 0
    assert scores.of(ROW, "nli").value == pytest.approx(0.7)
    # beside each other, both are in the other languages
    assert task.draws(everything, transfer)[0] == pytest.approx(0.6)
    assert task.draws(transfer, everything)[0] == pytest.approx(0.4)
    assert task.in_language(transfer, "eng").value == pytest.approx(0.9)
    only = even_scores([english], ["nli"], [1], lambda *_: {"eng": 0.9}, chance=0.2)
    assert only.of(english, "nli").value == pytest.approx(0.9)


def test_baselines_are_compared_with_the_mean_over_seeds() -> None:
    rows = [ROW]
    values = {1: 0.49, 2: 0.51}
    scores = even_scores(
        rows, ["rerank"], [1, 2], lambda row, task, seed: {"eng": values[seed]},
        chance=0.3, bm25={"rerank": 0.7},
    )  # fmt: skip
    assert scores.of(ROW, "rerank").value == pytest.approx(0.5)
    assert scores.of(ROW, "rerank").std == pytest.approx(0.02 / 2**0.5)
    assert scores["rerank"].estimate("bm25").value == pytest.approx(0.7)
    assert scores.is_above_chance(ROW, "rerank")
    assert scores["rerank"].in_language(experiment_name(ROW), "eng").std == pytest.approx(
        0.01414, abs=1e-5
    )


def test_item_files_are_found_by_recipe_and_by_baseline(tmp_path) -> None:
    items = even_items({"eng": 0.5})
    folder = tmp_path / "scores/b/unaligned/dfull/ungrouped/mlm/nli/all-languages"
    folder.mkdir(parents=True)
    write_items(items, folder / "seed-3.items.parquet")
    assert items_in(tmp_path / "scores")(ROW, "nli", 3) == items
    (tmp_path / "baselines/chance").mkdir(parents=True)
    write_items(items, tmp_path / "baselines/chance/nli.items.parquet")
    baseline_of = baselines_in(tmp_path / "baselines")
    assert baseline_of("chance", "nli") == items
    assert baseline_of("bm25", "nli") is None


def interval_of(items: list[ScoredItem]) -> float:
    """The width of the interval of a score."""
    estimate = TaskScores("nli", {"model": [items]}, Resampling(2000)).estimate("model")
    return estimate.high - estimate.low


def test_translations_do_not_count_as_independent_items() -> None:
    """300 pairs in four languages that a model gets right in all or in none have the interval of
    300 items, and not of 1,200."""
    right = np.random.default_rng(0).random(300) < 0.5
    languages = ("deu", "eng", "fra", "spa")
    apart = [
        ScoredItem(f"{language}-{number}", language, float(is_right), 1.0)
        for language in languages
        for number, is_right in enumerate(right)
    ]
    together = [item._replace(cluster=item.id.split("-")[1]) for item in apart]
    single = interval_of([item for item in apart if item.language == "eng"])
    assert interval_of(together) == pytest.approx(single, rel=0.1)
    assert interval_of(apart) == pytest.approx(single / 2, rel=0.1)


def test_questions_on_one_passage_are_drawn_together() -> None:
    right = np.random.default_rng(0).random(100) < 0.5
    items = [
        ScoredItem(f"{passage}-{question}", "eng", float(is_right), 1.0, str(passage))
        for passage, is_right in enumerate(right)
        for question in range(4)
    ]
    independent = [item._replace(cluster=None) for item in items]
    assert interval_of(items) == pytest.approx(2 * interval_of(independent), rel=0.1)


def test_languages_without_common_clusters_have_draws_of_their_own() -> None:
    """Another language does not change a language's draws, unless they share clusters."""

    def in_english(*others: ScoredItem) -> np.ndarray:
        items = [ScoredItem(f"{n}", "eng", float(n % 2), 1.0, f"eng-{n}") for n in range(20)]
        scores = TaskScores("nli", {"model": [[*items, *others]]}, Resampling(100))
        return scores.draws_by_language(["model"])[0]["eng"]

    alone = in_english()
    assert np.array_equal(alone, in_english(ScoredItem("a", "deu", 1.0, 1.0, "deu-1")))
    assert not np.array_equal(alone, in_english(ScoredItem("a", "deu", 1.0, 1.0, "eng-1")))
    # A language that is not in a sample keeps its score.
    rare = [ScoredItem("a", "deu", 1.0, 1.0, "eng-1")]
    items = [ScoredItem(f"{n}", "eng", float(n % 2), 1.0, f"eng-{n}") for n in range(20)] + rare
    drawn = TaskScores("nli", {"model": [items]}, Resampling(100)).draws_by_language(["model"])
    assert set(drawn[0]["deu"]) == {1.0}
