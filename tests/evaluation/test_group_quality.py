import itertools
from pathlib import Path

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast

from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.data.lexicons.table import is_held_out
from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.evaluation.group_quality import (
    connected_pairs,
    held_out_pairs,
    labels_of_subwords,
    measured_groups,
    purity,
    together,
    together_difference,
)
from semantic_tokens.grouping.groups import groups_of
from semantic_tokens.report.figures.group_quality import curves_of, draw_group_quality
from semantic_tokens.report.tables.group_quality import group_quality, write_group_quality
from semantic_tokens.study.experiments import Experiment
from semantic_tokens.study.measured_groupings import groupings_to_measure
from semantic_tokens.study.recipe import Recipe

RESAMPLING = Resampling(resamples=2000)
TOKENS = {word: i for i, word in enumerate(["a", "b", "c", "d", "e", "f"])}


def entries(concept: str, words: dict[str, str], source: str = "s") -> list[Entry]:
    return [Entry(concept, language, word, source) for language, word in words.items()]


def test_pairs_known_from_another_lexicon_are_not_held_out() -> None:
    held_out = [f"h{i}" for i in range(2000) if is_held_out(f"h{i}", 0.1)]
    trained = next(f"k{i}" for i in range(2000) if not is_held_out(f"k{i}", 0.1))
    table = [
        *entries(held_out[0], {"eng": "a", "deu": "b", "fra": "c"}),
        *entries(held_out[1], {"eng": "b", "deu": "a"}, "other"),  # the same pair again
        *entries(trained, {"eng": "a", "deu": "c"}, "other"),  # trained on
        *entries(trained, {"eng": "d", "deu": "e"}),
    ]
    assert held_out_pairs(table, TOKENS.get, 0.1).tolist() == [[0, 1], [1, 2]]
    assert held_out_pairs(table, TOKENS.get, 0.0).shape == (0, 2)


def test_pairs_in_one_group_equal_a_count_by_hand() -> None:
    #                  a  b  c  d  e  f
    groups = np.array([0, 0, 1, 1, 1, 2])
    pairs = np.array([[0, 1], [2, 5], [3, 4], [0, 2]])
    found = together(groups, pairs, RESAMPLING)
    assert (found.pairs, found.together) == (4, 0.5)
    # All pairs but the third are connected. Their first words are in groups 0, 1 and 0, and their
    # second words in 0, 2 and 1. Both words of the third pair are in group 1.
    assert found.together_by_chance == pytest.approx((1 + 1) / (3 + 3))
    assert np.isnan(together(groups, pairs[:1], RESAMPLING).together_by_chance)
    assert found.together_at_random == pytest.approx((2 * 1 + 3 * 2) / (6 * 5))


def test_chance_equals_the_value_of_random_groups() -> None:
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 20, size=3000)
    pairs = generator.permutation(3000)[:2000].reshape(-1, 2)
    found = together(groups, pairs, RESAMPLING)
    assert found.together == pytest.approx(found.together_by_chance, abs=0.02)
    assert found.together_at_random == pytest.approx(1 / 20, abs=0.005)
    assert np.isnan(together(groups, pairs[:0], RESAMPLING).together)


def test_chance_does_not_depend_on_how_good_groups_are() -> None:
    """Each of ten concepts has eight words in a group of their own: other concepts share none."""
    words = np.arange(80).reshape(10, 8)
    groups = np.concatenate([np.repeat(np.arange(10), 8), np.arange(10, 100)])
    pairs = np.array([pair for concept in words for pair in itertools.combinations(concept, 2)])
    found = together(groups, pairs, RESAMPLING)
    assert (found.together, found.together_by_chance) == (1.0, 0.0)


def test_pairs_with_a_common_subword_are_in_one_cluster() -> None:
    pairs = np.array([[7, 9], [3, 4], [9, 12], [4, 5], [1, 2]])
    cluster = connected_pairs(pairs)
    assert cluster[0] == cluster[2] and cluster[1] == cluster[3]
    assert sorted(set(cluster.tolist())) == [0, 1, 2]


def test_interval_of_pairs_in_clusters_is_wider_than_of_independent_pairs() -> None:
    groups = np.concatenate([np.zeros(200), np.arange(1, 201)]).astype(int)
    independent = np.arange(400).reshape(-1, 2)  # half of the pairs share a group
    # The same number of pairs, in clusters of ten: one subword with ten others.
    stars = np.array([[11 * star, 11 * star + i] for star in range(20) for i in range(1, 11)])
    groups_of_stars = np.repeat(np.arange(20), 11)
    groups_of_stars[110:] = 100 + np.arange(110)
    for pairs, of in ((independent, groups), (stars, groups_of_stars)):
        found = together(of, pairs, RESAMPLING)
        assert (found.pairs, found.together) == (200, 0.5)
        units = 200 if pairs is independent else 20
        width = 2 * 1.96 * (0.25 / units) ** 0.5  # of a binomial share of the units
        assert found.together_high - found.together_low == pytest.approx(width, rel=0.15)


def test_difference_to_another_grouping_is_paired() -> None:
    pairs = np.arange(400).reshape(-1, 2)
    some, more = np.arange(400), np.arange(400)
    some[1:200:2] -= 1  # half of the pairs share a group
    more[1:240:2] -= 1  # the same, and 20 others
    value, low, high = together_difference(more, some, pairs, RESAMPLING)
    assert value == pytest.approx(0.1)
    # The difference is 0 or 1 for each pair, so pairs that share a group in both do not matter.
    assert high - low == pytest.approx(2 * 1.96 * (0.1 * 0.9 / 200) ** 0.5, rel=0.15)
    assert together_difference(some, some, pairs, RESAMPLING) == (0, 0, 0)


def test_purity_equals_a_count_by_hand() -> None:
    groups = np.array([0, 0, 0, 1, 1, 2, 3])
    labels = {0: ["Latin"], 1: ["Latin"], 2: ["Han"], 3: ["Han"], 4: ["Han"], 5: ["Thai"]}
    found = purity(groups, labels, RESAMPLING)
    assert found.purity == pytest.approx(4 / 5)  # the group of one does not count
    assert found.mixed == 0.5
    assert found.purity_by_chance < 4 / 5


def test_word_of_several_languages_matches_each_of_them() -> None:
    groups = np.array([0, 0, 0])
    assert purity(groups, {0: ["deu"], 1: ["deu", "eng"], 2: ["eng"]}, RESAMPLING).purity == 2 / 3
    assert purity(groups, {0: ["deu"], 1: ["deu", "eng"]}, RESAMPLING).mixed == 0.0


def test_groups_of_one_have_no_purity() -> None:
    assert np.isnan(purity(np.arange(4), {0: ["deu"], 1: ["eng"]}, RESAMPLING).purity)
    assert np.isnan(purity(np.zeros(4, dtype=int), {}, RESAMPLING).purity)


def test_purity_of_random_groups_is_chance() -> None:
    generator = np.random.default_rng(1)
    groups = generator.integers(0, 100, size=2000)
    labels = {i: [str(generator.integers(0, 4))] for i in range(2000)}
    found = purity(groups, labels, RESAMPLING)
    assert found.purity == pytest.approx(found.purity_by_chance, abs=0.02)


def test_record_has_all_measures() -> None:
    groups = np.array([0, 0, 1, 1])
    labels = {0: ["Latin"], 1: ["Latin"], 2: ["Han"], 3: ["Latin"]}
    record = measured_groups(groups, np.array([[0, 1]]), labels, {}, RESAMPLING)
    assert (record["subwords"], record["semantic_tokens"], record["together"]) == (4, 2, 1.0)
    assert record["script_purity"] == 3 / 4
    assert record["mixed_script"] == 0.5
    assert np.isnan(record["language_purity"])


# The measured groupings, and the figure


def experiment(figure: str, path: str) -> Experiment:
    return Experiment(figure, False, False, Recipe(*path.split("/")), "all-languages")


def test_random_groups_are_measured_at_every_ratio_of_kmeans() -> None:
    rows = [
        experiment("oracle", "a/unaligned/dfull/ungrouped/asis"),
        experiment("figure3", "a/unaligned/dfull/kmeans-cosine-0.2/asis"),
        experiment("figure3", "a/unaligned/dfull/kmeans-cosine-0.05/mlm"),
        experiment("figure3", "a/unaligned/dfull/firstk-0.05/mlm"),
        experiment("figure11", "a/clsa-muse/dfull/kmeans-cosine-0.05/mlm"),
        experiment("figure7", "b/unaligned/dfull/kmeans-cosine-0.05/asis"),
        experiment("controls", "a/unaligned/dfull/random-0.05/asis"),
        experiment("controls", "a/unaligned/dfull/kmeans-cosine-0.05/asis"),
        experiment("controls", "a/unaligned/dfull/kmeans-weighted-0.05/asis"),
    ]
    assert [recipe.path for recipe in groupings_to_measure(rows)] == [
        "a/unaligned/dfull/kmeans-cosine-0.2/asis",
        "a/unaligned/dfull/kmeans-cosine-0.05/asis",
        "a/clsa-muse/dfull/kmeans-cosine-0.05/asis",
        "a/unaligned/dfull/random-0.05/asis",
        "a/unaligned/dfull/kmeans-weighted-0.05/asis",
        "a/unaligned/dfull/random-0.2/asis",
    ]


def quality_table() -> pd.DataFrame:
    lines = []
    for alignment, ratios in (
        ("unaligned", (0.2, 0.05)),
        ("clsa-m", (0.2, 0.05)),
        ("clsa-n", (0.05,)),
    ):
        for method in ("random", "kmeans-cosine"):
            for ratio in ratios:
                line = {
                    "alignment": alignment,
                    "dimension": "dfull",
                    "method": method,
                    "ratio": ratio,
                }
                shares = ("together", "script_purity", "language_purity")
                for share in shares:
                    value = ratio * (method != "random")
                    line |= {share: value, f"{share}_low": value / 2, f"{share}_high": value * 1.1}
                lines.append(line)
    lines.append(lines[0] | {"dimension": "d64", "together": 0.9})
    return pd.DataFrame(lines)


def test_each_curve_has_one_method_and_one_alignment() -> None:
    curves = curves_of(quality_table())
    assert list(curves) == [
        ("kmeans-cosine", "unaligned"),
        ("kmeans-cosine", "clsa-m"),
        ("random", "unaligned"),
        ("random", "clsa-m"),
    ]  # clsa-n has only one ratio, and d64 is another dimension
    assert curves["kmeans-cosine", "clsa-m"]["ratio"].tolist() == [0.05, 0.2]
    single = quality_table().query("ratio == 0.05")
    assert len(curves_of(single)) == 6  # if no curve has more, points are shown


def test_the_figure_shows_every_curve_with_its_intervals_in_every_panel() -> None:
    figure = draw_group_quality(quality_table())
    assert [axes.get_title() for axes in figure.axes] == [
        "translations in one group",
        "purity by script",
        "purity by language",
    ]
    for axes in figure.axes:
        bars = {bar.get_label(): bar for bar in axes.containers}
        lines = {label: bar[0] for label, bar in bars.items()}
        (limits,) = bars["K-Means"][2]
        assert [segment[:, 1].tolist() for segment in limits.get_segments()] == [
            pytest.approx([0.025, 0.055]),
            pytest.approx([0.1, 0.22]),
        ]
        assert list(lines) == ["K-Means", "K-Means with CLSA", "random", "random with CLSA"]
        assert lines["K-Means"].get_ydata().tolist() == [0.05, 0.2]
        assert lines["random"].get_ydata().tolist() == [0.0, 0.0]
        assert lines["K-Means"].get_linestyle() != lines["K-Means with CLSA"].get_linestyle()
        colours = [matplotlib.colors.to_hex(line.get_color()) for line in lines.values()]
        assert colours[0] == colours[1] != colours[2]


def test_curves_of_several_alignments_have_their_own_look() -> None:
    table = quality_table().query("alignment != 'clsa-n'")
    others = [
        table[table["alignment"] == "clsa-m"].assign(alignment=f"clsa-{name}") for name in "nopq"
    ]
    figure = draw_group_quality(pd.concat([table, *others]))
    lines = {bar.get_label(): bar[0] for bar in figure.axes[0].containers}
    assert len(lines) == 12 and "K-Means with CLSA (n)" in lines
    looks = {(x.get_color(), x.get_linestyle(), x.get_marker()) for x in lines.values()}
    assert len(looks) == 12


def test_the_table_and_page_have_intervals(tmp_path: Path) -> None:
    embeddings = torch.eye(6)
    folder = tmp_path / "backbone/unaligned/dfull"
    folder.mkdir(parents=True)
    for name, labels in (("kmeans-cosine-0.5", [0, 0, 1, 1, 2, 2]), ("random-0.5", [0, 1] * 3)):
        groups_of(embeddings, torch.tensor(labels)).save(folder / f"{name}.safetensors")
    table = group_quality(
        sorted(folder.iterdir()),
        np.array([[0, 1], [2, 4]]),
        {0: ["Latin"], 1: ["Latin"], 2: ["Han"], 3: ["Latin"]},
        {},
        RESAMPLING,
    )
    assert table["method"].tolist() == ["kmeans-cosine", "random"]
    assert table["together"].tolist() == [0.5, 0.5]
    assert pd.isna(table["together_minus_kmeans"].iloc[0])
    # The random groups have the second pair, and not the first.
    assert table.iloc[1][
        ["together_minus_kmeans", "together_minus_kmeans_low", "together_minus_kmeans_high"]
    ].tolist() == [0, -1, 1]
    csv, page = tmp_path / "quality.csv", tmp_path / "quality.html"
    write_group_quality(table, csv, page, title="study", held_out_fraction=0.1, confidence=0.95)
    written = pd.read_csv(csv)
    assert (written["together_low"] == 0).all() and (written["together_high"] == 1).all()
    assert written["language_purity_low"].isna().all()
    text = page.read_text(encoding="utf-8")
    assert "50.0% (0.0% to 100.0%)" in text and "95% intervals" in text
    assert "together low" not in text


def test_script_of_a_byte_level_subword_is_that_of_its_decoded_text() -> None:
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        ["помидор tomato 42"] * 5, vocab_size=400, min_frequency=1, special_tokens=["<s>"]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer)
    scripts, languages = labels_of_subwords(fast, [], lambda word: None)
    ids = fast.get_vocab()
    assert scripts[ids[fast.tokenize("помидор")[0]]] == ["Cyrillic"]
    assert scripts[ids["Ġtomato"]] == ["Latin"]
    assert ids["Ð"] not in scripts  # half of a letter
    assert ids["<s>"] not in scripts
    assert ids["4"] not in scripts
    assert languages == {}
