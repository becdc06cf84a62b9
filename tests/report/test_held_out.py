from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.json_files import read_json, write_json
from semantic_tokens.report.figures.held_out import draw_held_out, draw_held_out_by_language
from semantic_tokens.report.tables.held_out import (
    ALL,
    held_out_losses,
    write_held_out,
)

FEW = Resampling(resamples=400)


def write(
    folder: Path, path: str, losses: dict[str, list[tuple[float, int]]], guess: float
) -> Path:
    """Write the loss per token and the number of tokens of every sequence, like pretraining does."""
    by_language = {}
    for language, sequences in losses.items():
        sums = [[loss * count, guess * count, count] for loss, count in sequences]
        tokens = sum(count for _, count in sequences)
        by_language[language] = {
            "loss": sum(total for total, _, _ in sums) / tokens,
            "tokens": tokens,
            "loss_by_frequency": guess,
            "sequences": sums,
        }
    target = folder / f"{path}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json({"by_language": by_language}, target)
    return target


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    generator = np.random.default_rng(0)
    level = {"deu": 3.0, "jpn": 4.0}

    def losses(gain: float, count: int = 30) -> dict[str, list[tuple[float, int]]]:
        return {
            language: [(loss + gain + generator.normal(0, 0.3), 7) for _ in range(count)]
            for language, loss in level.items()
        }

    return [
        write(tmp_path, "b/unaligned/dfull/ungrouped", losses(0.0), 7.0),
        write(tmp_path, "b/unaligned/dfull/kmeans-cosine-0.05", losses(-1.0), 5.0),
        write(tmp_path, "b/clsa-muse/d16/kmeans-cosine-0.05", losses(-0.5), 5.0),
        # First-k segments the text differently, so it has other sequences.
        write(tmp_path, "b/unaligned/dfull/firstk-0.05", losses(-0.2, count=40), 5.5),
    ]


def test_loss_is_per_token_and_averaged_over_languages(files: list[Path]) -> None:
    table = held_out_losses(files, FEW, {"b": 64})
    assert len(table) == 4 * 3
    written = read_json(files[1])["by_language"]
    part = table[(table["method"] == "K-Means") & (table["dim"] == 64)].set_index("language")
    for language in ("deu", "jpn"):
        line = part.loc[language]
        assert line["loss"] == pytest.approx(written[language]["loss"])
        assert line["low"] < line["loss"] < line["high"]
        # The standard error is 0.3 / sqrt(30).
        assert line["high"] - line["low"] == pytest.approx(4 * 0.3 / 30**0.5, rel=0.4)
        # The guess has the same loss in all sequences here.
        for edge, other in (("gain", "loss"), ("gain_low", "high"), ("gain_high", "low")):
            assert line[edge] == pytest.approx(5.0 - line[other])
    mean = (written["deu"]["loss"] + written["jpn"]["loss"]) / 2
    assert part.loc[ALL, "loss"] == pytest.approx(mean)
    assert part.loc[ALL, "tokens"] == 2 * 30 * 7
    first_k = table[(table["method"] == "First-k") & (table["language"] == ALL)].iloc[0]
    assert first_k["tokens"] == 2 * 40 * 7


def test_the_page_and_the_figure_show_every_variant(files: list[Path], tmp_path: Path) -> None:
    table = held_out_losses(files, FEW, {"b": 64})
    write_held_out(table, tmp_path / "h.csv", tmp_path / "h.html", title="a & b", confidence=0.95)
    assert len(pd.read_csv(tmp_path / "h.csv")) == len(table)
    assert "a &amp; b" in (tmp_path / "h.html").read_text(encoding="utf-8")
    figure = draw_held_out(table, "b")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["K-Means", "K-Means after CLSA, d = 16", "First-k"]
    left, right = figure.axes
    xs = [list(container[0].get_xdata()) for container in left.containers]
    # Curves end at the ungrouped model of their dimension, if there is one.
    assert xs == [[5, 100], [5], [5, 100]]
    assert [list(container[0].get_xdata()) for container in right.containers] == xs


def test_the_second_figure_has_the_gain_by_language(files: list[Path]) -> None:
    table = held_out_losses(files, FEW, {"b": 64})
    (axes,) = draw_held_out_by_language(table, "b").axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["deu", "jpn"]
    models = [text.get_text() for text in axes.get_yticklabels()]
    assert len(models) == 4 and "K-Means after CLSA, d = 16, 5%" in models
    line = table.query("method == 'First-k' and language == 'jpn'").iloc[0]
    (image,) = axes.images
    assert image.get_array()[models.index("First-k, 5%"), 1] == pytest.approx(line["gain"])


def test_models_that_differ_in_their_lexicons_are_separate(tmp_path: Path) -> None:
    """One alignment with two ratios, and one with the smaller ratio, as in Figure 11."""
    losses = {
        "unaligned/dfull/ungrouped": 2.0,
        "clsa-emoji/dfull/kmeans-cosine-0.2": 2.5,
        "clsa-emoji/dfull/kmeans-cosine-0.05": 3.0,
        "clsa-emoji+muse/dfull/kmeans-cosine-0.05": 5.0,
    }
    files = [
        write(tmp_path, f"b/{path}", {"deu": [(loss, 7)] * 5}, 6.0) for path, loss in losses.items()
    ]
    table = held_out_losses(files, FEW, {"b": 64})
    aligned = table[(table["ratio"] == 0.05) & (table["language"] == ALL)]
    assert aligned[["alignment", "loss"]].values.tolist() == [
        ["clsa-emoji", pytest.approx(3.0)],
        ["clsa-emoji+muse", pytest.approx(5.0)],
    ]
    write_held_out(table, tmp_path / "h.csv", tmp_path / "h.html", title="", confidence=0.95)
    page = (tmp_path / "h.html").read_text(encoding="utf-8")
    assert page.count("clsa-emoji+muse") == 2
    _, _, by_language = page.partition("Loss by language")
    assert "3.000" in by_language and "5.000" in by_language
    figure = draw_held_out(table, "b")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["K-Means after CLSA"]
    (curve,) = figure.axes[0].containers
    assert list(curve[0].get_ydata()) == pytest.approx([3.0, 2.5, 2.0])
    (axes,) = draw_held_out_by_language(table, "b").axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names[-2:] == [
        "K-Means after CLSA (emoji), 5%",
        "K-Means after CLSA (emoji + muse), 5%",
    ]


def test_the_gain_is_resampled_with_the_guess_of_each_sequence(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    losses = [(float(loss), 5) for loss in generator.normal(4, 1, 50)]
    file = write(tmp_path, "b/unaligned/dfull/ungrouped", {"deu": losses}, 0.0)
    written = read_json(file)
    of = written["by_language"]["deu"]
    # The guess is always two nats worse, so the gain does not vary.
    of["sequences"] = [[lost, lost + 2 * count, count] for lost, _, count in of["sequences"]]
    of["loss_by_frequency"] = of["loss"] + 2
    write_json(written, file)
    line = held_out_losses([file], FEW, {"b": 64}).iloc[0]
    assert line["high"] - line["low"] > 0.3
    assert line[["gain", "gain_low", "gain_high"]].tolist() == pytest.approx([2, 2, 2])


def test_a_variant_without_held_out_text_is_left_out(tmp_path: Path) -> None:
    empty = write(tmp_path, "b/unaligned/dfull/ungrouped", {}, 7.0)
    table = held_out_losses([empty], FEW, {"b": 64})
    assert table.empty and "loss" in table
    write_held_out(table, tmp_path / "h.csv", tmp_path / "h.html", title="", confidence=0.95)
    assert "No corpus of this study is large enough" in (tmp_path / "h.html").read_text()
    for draw in (draw_held_out, draw_held_out_by_language):
        assert draw(table, "b").texts[0].get_text() == "no text was held out"
