import itertools

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import PreTrainedTokenizerFast

from semantic_tokens.data.lexicons import published
from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.data.lexicons.table import is_held_out
from semantic_tokens.embeddings import alignment
from semantic_tokens.embeddings.alignment import (
    TranslationPairs,
    align,
    connected_translations,
    info_nce,
    known_positives,
    merge_pairs,
    round_trip_pairs,
    single_subword_pairs,
    token_ids_by_language,
)
from semantic_tokens.embeddings.alignment_quality import (
    mean_cosine,
    translation_accuracy,
    translation_test,
)
from semantic_tokens.errors import InputError
from semantic_tokens.grouping.lexicon_components import lexicon_groups
from semantic_tokens.tokenization.vocabulary import single_subword_id, unigram_tokenizer


def random_rows(count: int, dimension: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


def pairs_of(*token_ids: tuple[int, int], concepts: list[int] | None = None) -> TranslationPairs:
    return TranslationPairs(
        np.array(token_ids, dtype=np.int64),
        np.arange(len(token_ids)) if concepts is None else np.array(concepts),
    )


def entries_of(*rows: tuple[str, str, str]) -> list[Entry]:
    return [Entry(concept, language, word, "test") for concept, language, word in rows]


# Pairs of subwords


@pytest.fixture(scope="module")
def unigram() -> PreTrainedTokenizerFast:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁tomato", "番茄", "▁ice", "s", "▁to", "mato"]
    scores = [0.0, 0.0, 0.0, 0.0, -3.0, -5.0, -5.0, -5.0, -6.0, -4.0, -9.0]
    return unigram_tokenizer([*zip(pieces, scores, strict=True), ("<mask>", 0.0)])


@pytest.fixture(scope="module")
def wordpiece() -> PreTrainedTokenizerFast:
    words = ["[PAD]", "[UNK]", "tomato", "ice", "##s", "番", "茄"]
    tokenizer = Tokenizer(WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


@pytest.mark.parametrize(
    ("word", "piece"),
    [
        ("tomato", "▁tomato"),
        ("番茄", "番茄"),
        ("ices", None),
        ("ice ice", None),
        ("ж", None),
        ("<mask>", None),
        ("", None),
    ],
)
def test_single_subword_of_a_unigram_model(unigram, word, piece):
    expected = None if piece is None else unigram.get_vocab()[piece]
    assert single_subword_id(unigram, word) == expected


@pytest.mark.parametrize(
    ("word", "piece"),
    [("tomato", "tomato"), ("ices", None), ("番茄", None), ("ж", None), ("[PAD]", None)],
)
def test_single_subword_of_a_wordpiece_model(wordpiece, word, piece):
    expected = None if piece is None else wordpiece.get_vocab()[piece]
    assert single_subword_id(wordpiece, word) == expected


def test_pairs_are_words_of_one_concept_in_two_languages():
    ids = {"tomato": 1, "tomate": 2, "tomat": 3, "ice": 4, "frost": 5, "Eis": 6, "shared": 7}
    entries = entries_of(
        ("tomato", "eng", "tomato"),
        ("tomato", "deu", "Tomaten"),  # several subwords
        ("tomato", "fra", "tomate"),
        ("tomato", "spa", "tomate"),
        ("tomato", "swe", "tomat"),
        ("ice", "eng", "ice"),
        ("ice", "eng", "frost"),
        ("ice", "deu", "Eis"),
    )
    pairs = single_subword_pairs(entries, ids.get)
    assert set(map(tuple, pairs.token_ids.tolist())) == {(1, 2), (1, 3), (2, 3), (4, 6), (5, 6)}
    concept_of = dict(zip(map(tuple, pairs.token_ids.tolist()), pairs.concepts, strict=True))
    assert concept_of[1, 2] == concept_of[2, 3] != concept_of[4, 6]


def test_subword_shared_by_two_languages_is_not_paired_with_itself():
    entries = entries_of(("x", "deu", "a"), ("x", "nld", "a"), ("x", "deu", "b"))
    assert single_subword_pairs(entries, {"a": 1, "b": 2}.get).token_ids.tolist() == [[1, 2]]


def test_concepts_with_the_same_name_in_two_lexicons_stay_distinct():
    entries = [Entry("1", "eng", "a", "muse"), Entry("1", "deu", "b", "panlex")]
    assert len(single_subword_pairs(entries, {"a": 1, "b": 2}.get)) == 0


def test_pair_found_in_two_concepts_is_kept_once():
    entries = entries_of(("x", "eng", "a"), ("x", "deu", "b"), ("y", "deu", "b"), ("y", "eng", "a"))
    assert single_subword_pairs(entries, {"a": 5, "b": 2}.get).token_ids.tolist() == [[2, 5]]


def test_all_words_of_a_concept_in_two_languages_are_connected():
    """Also if there are too many for all pairs, and for words of one language beside each other."""
    entries = entries_of(*(("x", "deu" if i < 700 else "nld", str(i)) for i in range(1400)))
    entries += entries_of(("y", "deu", "1400"), ("y", "deu", "1401"))  # no translation
    pairs = connected_translations(entries, int)
    groups = lexicon_groups(torch.randn(1402, 2), pairs)
    sizes = torch.bincount(groups.token_to_group)
    assert sorted(sizes.tolist()) == [1, 1, 1400]


@pytest.mark.parametrize(("words", "limit"), [(40, 100), (41, 200), (30, 10), (7, 20)])
def test_pairs_are_spread_evenly_over_words_beyond_the_limit(words, limit):
    entries = entries_of(*(("x", f"l{i:02d}", str(i)) for i in range(words)))
    pairs = single_subword_pairs(entries, int, max_pairs_per_concept=limit)
    assert len(pairs) <= max(limit, words)
    occurrences = np.bincount(pairs.token_ids.ravel(), minlength=words)
    assert len(set(occurrences.tolist())) == 1 and occurrences[0] >= 2


def test_token_ids_are_grouped_by_language():
    entries = entries_of(("x", "eng", "9"), ("x", "deu", "4"), ("y", "eng", "3"), ("z", "eng", "9"))
    ids = token_ids_by_language(entries, int)
    assert {language: found.tolist() for language, found in ids.items()} == {
        "deu": [4],
        "eng": [3, 9],
    }


# Round trips


@pytest.mark.parametrize("block", [1, 3, 4096])
def test_round_trips_are_mutual_nearest_neighbours(block, monkeypatch):
    monkeypatch.setattr(alignment, "_ROWS_AT_ONCE", block)
    embeddings = random_rows(30, 4)
    ids = {"deu": np.arange(0, 12), "eng": np.arange(10, 20), "swa": np.arange(20, 30)}
    unit = torch.nn.functional.normalize(embeddings).numpy()
    expected = set()
    for one, other in itertools.combinations(ids, 2):
        first_ids, second_ids = set(ids[one]) - set(ids[other]), set(ids[other]) - set(ids[one])
        for a, b in itertools.product(first_ids, second_ids):
            nearest_to_a = max(second_ids, key=lambda t: unit[a] @ unit[t])
            nearest_to_b = max(first_ids, key=lambda t: unit[b] @ unit[t])
            if (nearest_to_a, nearest_to_b) == (b, a):
                expected.add((int(a), int(b)))
    pairs = round_trip_pairs(embeddings, ids)
    assert set(map(tuple, pairs.token_ids.tolist())) == expected
    assert len(set(pairs.concepts.tolist())) == len(pairs)


def test_merged_pairs_keep_concepts_of_different_sources_apart():
    merged = merge_pairs([pairs_of((1, 2), (3, 4)), pairs_of((2, 1), (5, 6))])
    assert merged.token_ids.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert len(set(merged.concepts.tolist())) == 3


# The loss


def loss_and_gradient(
    anchors: np.ndarray, positives: np.ndarray, temperature: float, excluded: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """InfoNCE in both directions, derived by hand."""
    count = len(anchors)
    lengths = [np.linalg.norm(side, axis=1, keepdims=True) for side in (anchors, positives)]
    a, p = anchors / lengths[0], positives / lengths[1]
    weights = np.exp(a @ p.T / temperature) * (~excluded | np.eye(count, dtype=bool))
    forward = weights / weights.sum(axis=1, keepdims=True)
    backward = weights / weights.sum(axis=0, keepdims=True)
    loss = -(np.log(forward.diagonal()) + np.log(backward.diagonal())).mean() / 2
    similarity_gradient = (forward + backward - 2 * np.eye(count)) / (2 * count * temperature)
    gradients = []
    for unit_gradient, unit, length in (
        (similarity_gradient @ p, a, lengths[0]),
        (similarity_gradient.T @ a, p, lengths[1]),
    ):
        gradients.append(
            (unit_gradient - (unit_gradient * unit).sum(axis=1, keepdims=True) * unit) / length
        )
    return loss, gradients[0], gradients[1]


@pytest.mark.parametrize("masked", [0.0, 0.3, 1.0])
def test_info_nce_and_its_gradient_equal_the_derivation_by_hand(masked):
    anchors, positives = random_rows(9, 5, 1).double(), random_rows(9, 5, 2).double()
    excluded = torch.rand(9, 9, generator=torch.Generator().manual_seed(3)) < masked
    excluded = excluded | excluded.T
    anchors.requires_grad_()
    positives.requires_grad_()
    loss = info_nce(anchors, positives, 0.2, excluded)
    loss.backward()
    expected = loss_and_gradient(
        anchors.detach().numpy(), positives.detach().numpy(), 0.2, excluded.numpy()
    )
    assert loss.item() == pytest.approx(expected[0], rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(anchors.grad, expected[1], atol=1e-12)
    np.testing.assert_allclose(positives.grad, expected[2], atol=1e-12)


def test_excluded_pair_does_not_affect_the_loss():
    anchors, positives = random_rows(3, 5, 1), random_rows(3, 5, 2)
    excluded = torch.zeros(3, 3, dtype=torch.bool)
    excluded[:2, 2] = excluded[2, :2] = True
    moved = positives.clone()
    moved[2] = random_rows(1, 5, 7)
    losses = [info_nce(anchors, side, 0.1, excluded).item() for side in (positives, moved)]
    losses_without_it = [
        info_nce(anchors[:2], side[:2], 0.1, excluded[:2, :2]).item() for side in (positives, moved)
    ]
    assert losses[0] == losses[1] == pytest.approx(losses_without_it[0] * 2 / 3)


def test_pairs_that_share_a_concept_or_subword_are_not_negatives():
    token_ids = torch.tensor([[1, 2], [3, 4], [5, 6], [2, 7], [8, 5]])
    concepts = torch.tensor([0, 1, 1, 2, 3])
    mask = known_positives(token_ids, concepts)
    related = {(0, 3), (1, 2), (2, 4)}
    for i, j in itertools.product(range(5), repeat=2):
        assert mask[i, j] == (i == j or (i, j) in related or (j, i) in related)


# The training

EMBEDDINGS = random_rows(60, 8, seed=11) * 3
PAIRS = pairs_of(*((i, i + 20) for i in range(20)), concepts=[i // 2 for i in range(20)])


def test_rows_outside_all_pairs_and_the_input_matrix_are_unchanged():
    before = EMBEDDINGS.clone()
    aligned, _ = align(EMBEDDINGS, PAIRS, seed=0, steps=200)
    assert torch.equal(EMBEDDINGS, before)
    assert torch.equal(aligned[40:], EMBEDDINGS[40:])
    assert (aligned[:40] != EMBEDDINGS[:40]).any(dim=1).all()


def test_alignment_keeps_vector_lengths():
    aligned, _ = align(EMBEDDINGS, PAIRS, seed=0, steps=50, learning_rate=0.01)
    torch.testing.assert_close(aligned.norm(dim=1), EMBEDDINGS.norm(dim=1))


def test_translations_become_nearest_neighbours():
    aligned, log = align(
        EMBEDDINGS, PAIRS, seed=0, steps=400, learning_rate=0.01, batch_size=10, min_mean_cosine=-1
    )
    unit = torch.nn.functional.normalize(aligned)
    nearest = (unit[:20] @ unit[20:40].T).argmax(dim=1)
    assert torch.equal(nearest // 2, torch.arange(20) // 2)
    assert log.losses[-1] < log.losses[0] / 5
    assert (log.pairs, log.subwords, len(log.losses)) == (20, 40, 10)


def test_alignment_is_reproducible_and_depends_on_the_seed():
    first, repeated, other = (
        align(EMBEDDINGS, PAIRS, seed=seed, batch_size=4, steps=50)[0].numpy().tobytes()
        for seed in (1, 1, 2)
    )
    assert first == repeated != other


def test_training_equals_adam_over_the_entire_matrix():
    """Compared with a loop that moves every row at every step, even if it is not in the batch."""
    epochs, batch_size, rate, temperature, seed = 12, 6, 0.02, 0.1, 5
    aligned, log = align(
        EMBEDDINGS.double(),
        PAIRS,
        seed=seed,
        temperature=temperature,
        batch_size=batch_size,
        steps=epochs * -(-len(PAIRS) // batch_size),
        learning_rate=rate,
        min_mean_cosine=-1,
    )
    rows = torch.nn.functional.normalize(EMBEDDINGS.double()).numpy()
    first, second = np.zeros_like(rows), np.zeros_like(rows)
    generator = torch.Generator().manual_seed(seed)
    step, losses = 0, []
    for _ in range(epochs):
        order = torch.randperm(len(PAIRS), generator=generator).numpy()
        for batch in np.array_split(order, -(-len(PAIRS) // batch_size)):
            step += 1
            ids, concepts = PAIRS.token_ids[batch], PAIRS.concepts[batch]
            excluded = concepts[:, None] == concepts[None, :]
            loss, anchor_gradients, positive_gradients = loss_and_gradient(
                rows[ids[:, 0]], rows[ids[:, 1]], temperature, excluded
            )
            losses.append(loss)
            gradient = np.zeros_like(rows)
            np.add.at(gradient, ids[:, 0], anchor_gradients)
            np.add.at(gradient, ids[:, 1], positive_gradients)
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            size = np.sqrt(second / (1 - 0.999**step)) + 1e-8
            rows -= rate * first / (1 - 0.9**step) / size
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected *= EMBEDDINGS.double().norm(dim=1, keepdim=True).numpy()
    # The remaining difference is Adam's epsilon.
    np.testing.assert_allclose(aligned, expected, atol=2e-5, rtol=1e-4)
    tenths = [part.mean() for part in np.array_split(losses, 10)]
    np.testing.assert_allclose(log.losses, tenths, rtol=1e-4)


def test_alignment_without_pairs_names_the_fix():
    with pytest.raises(InputError, match="table of experiments"):
        align(EMBEDDINGS, single_subword_pairs([], int), seed=0)


def test_a_real_dictionary_aligns_a_real_vocabulary(shared_data):
    words = (shared_data / "mbert_vocab.txt").read_text(encoding="utf-8").splitlines()
    ids = {word: i for i, word in enumerate(words)}
    entries = list(published.muse(shared_data / "lexicons/muse", ["eng", "deu"]))
    pairs = single_subword_pairs(entries, ids.get)
    assert sorted((ids["and"], ids["und"])) in pairs.token_ids.tolist()
    aligned, log = align(random_rows(len(words), 16), pairs, seed=0, steps=40)
    assert log.losses[-1] < log.losses[0]
    assert aligned.shape == (119_547, 16)


# The limit on the movement, and the accuracy

DIMENSION, LANGUAGES = 32, ("deu", "eng", "spa", "swa")


def lexicon_of(meanings: int) -> tuple[torch.Tensor, list[Entry]]:
    """Embeddings of one word per meaning in four languages, and a dictionary for each pair of
    languages. The words of a meaning are not yet near each other, and each line of a dictionary is a
    concept of its own."""
    shared = random_rows(meanings, DIMENSION, seed=1)
    individual = random_rows(meanings * len(LANGUAGES), DIMENSION, seed=2) * 1.2
    embeddings = shared.repeat_interleave(len(LANGUAGES), dim=0) + individual
    entries = []
    for meaning in range(meanings):
        words = {name: str(len(LANGUAGES) * meaning + i) for i, name in enumerate(LANGUAGES)}
        for first, second in itertools.combinations(LANGUAGES, 2):
            concept = f"{first}-{second}:{meaning}"
            entries += [Entry(concept, name, words[name], "test") for name in (first, second)]
    return embeddings, entries


@pytest.mark.parametrize("meanings", [40, 400, 4000])
def test_drift_stays_within_its_bound_and_held_out_accuracy_rises(meanings):
    embeddings, entries = lexicon_of(meanings)
    trained = [entry for entry in entries if not is_held_out(entry.concept, 0.1)]
    pairs = single_subword_pairs(trained, int)
    aligned, log = align(embeddings, pairs, seed=0, batch_size=64, steps=400, learning_rate=0.01)
    moved = torch.nn.functional.cosine_similarity(embeddings, aligned)[np.unique(pairs.token_ids)]
    assert log.mean_cosine == pytest.approx(0.98, abs=1e-6)
    assert moved.mean().item() == pytest.approx(log.mean_cosine, abs=1e-5)
    assert 0 < log.share_kept < 1
    translations = translation_test(entries, int, 0.1)
    before = translation_accuracy(embeddings, translations)
    assert translation_accuracy(aligned, translations) > before + 0.01


def test_all_rows_are_rotated_back_by_the_same_fraction_of_their_angle():
    unlimited, unlimited_log = align(EMBEDDINGS, PAIRS, seed=0, min_mean_cosine=-1)
    limited, limited_log = align(EMBEDDINGS, PAIRS, seed=0, min_mean_cosine=0.99)
    assert unlimited_log.share_kept == 1.0 and unlimited_log.mean_cosine < 0.99

    def angles(after: torch.Tensor) -> torch.Tensor:
        cosine = torch.nn.functional.cosine_similarity(
            EMBEDDINGS[:40].double(), after[:40].double()
        )
        return cosine.clamp(max=1).acos()

    torch.testing.assert_close(
        angles(limited), angles(unlimited) * limited_log.share_kept, atol=1e-4, rtol=1e-3
    )
    # If training ends within the limit, nothing is changed.
    loosely_limited, _ = align(
        EMBEDDINGS, PAIRS, seed=0, min_mean_cosine=unlimited_log.mean_cosine - 0.01
    )
    assert torch.equal(loosely_limited, unlimited)


def test_row_of_zeros_is_unchanged_and_ignored_by_the_limit():
    embeddings = EMBEDDINGS.clone()
    embeddings[3] = 0.0
    aligned, log = align(embeddings, PAIRS, seed=0)
    assert torch.equal(aligned[3], embeddings[3])
    assert log.mean_cosine == pytest.approx(0.98, abs=1e-6)


def test_translation_accuracy_equals_a_count_by_hand():
    #              0:eng a   1:deu a   2:deu b   3:eng b   4:spa and eng
    embeddings = torch.tensor([[1.0, 0.0], [0.8, 0.6], [1.0, 0.1], [0.0, 1.0], [1.0, 0.01]])
    held_out = [f"h{i}" for i in range(200) if is_held_out(f"h{i}", 0.1)]
    trained = next(f"k{i}" for i in range(200) if not is_held_out(f"k{i}", 0.1))
    entries = entries_of(
        (held_out[0], "eng", "0"), (held_out[0], "deu", "1"),
        (held_out[1], "eng", "3"), (held_out[1], "deu", "2"),
        (trained, "eng", "4"), (trained, "spa", "4"),
    )  # fmt: skip
    translations = translation_test(entries, int, 0.1)
    assert translations.candidates[translations.queries].tolist() != []
    # All are wrong: 0 finds 2, 3 finds 1, and 1 and 2 find 4, which is not a German word.
    assert translation_accuracy(embeddings, translations) == 0.0
    # A translation that the alignment may have used is not a candidate, so 0 finds 1.
    more_entries = [*entries, *entries_of((trained + "x", "eng", "0"), (trained + "x", "deu", "2"))]
    assert not is_held_out(trained + "x", 0.1)
    assert translation_accuracy(embeddings, translation_test(more_entries, int, 0.1)) == 1 / 4


def test_accuracy_without_held_out_concepts_is_nan():
    entries = entries_of(("x", "eng", "0"), ("x", "deu", "1"))
    assert np.isnan(translation_accuracy(EMBEDDINGS, translation_test(entries, int, 0.0)))


def test_mean_cosine_counts_unmoved_rows_as_one():
    before = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    after = torch.tensor([[0.0, 0.0], [0.0, 2.0], [1.0, 0.0]])
    assert mean_cosine(before, after) == pytest.approx(2 / 3)
