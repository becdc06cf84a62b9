"""Invented scores for tests: every item of a language has the language's score."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.evaluation.scores import Scores, Trainings
from semantic_tokens.tasks.scored_items import ScoredItem

ByLanguage = Mapping[str, float]
FEW = Resampling(resamples=200, seed=1)


def even_items(by_language: ByLanguage, count: int = 4) -> list[ScoredItem]:
    """Items with their language's score."""
    return [
        ScoredItem(f"{number}", language, score, 1.0)
        for language, score in by_language.items()
        for number in range(count)
    ]


def even_scores(
    rows: Sequence[Mapping[str, Any]],
    tasks: Iterable[str],
    seeds: Sequence[int],
    by_language_of: Callable[[Mapping[str, Any], str, int], ByLanguage],
    *,
    chance: float | Mapping[str, float] = 0.0,
    bm25: Mapping[str, float] | None = None,
    resampling: Resampling = FEW,
) -> Scores:
    """Scores of rows in tasks, by language, task and seed.

    Args:
        chance: the score in every language, for all tasks or by task.
        bm25: task -> BM25's score in every language, for tasks that have one.
    """

    def baseline_of(baseline: str, task: str) -> list[ScoredItem] | None:
        given = chance if baseline == "chance" else bm25 or {}
        score = given.get(task) if isinstance(given, Mapping) else given
        languages = by_language_of(rows[0], task, seeds[0])
        return None if score is None else even_items(dict.fromkeys(languages, score))

    return Scores(
        dict.fromkeys(tasks, rows),
        Trainings(seeds),
        lambda row, task, seed: even_items(by_language_of(row, task, seed)),
        baseline_of,
        resampling,
    )
