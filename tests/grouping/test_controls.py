import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from semantic_tokens.errors import InputError
from semantic_tokens.grouping.controls import frequency_groups, random_groups
from semantic_tokens.grouping.groups import group_means, groups_of, with_embedding
from semantic_tokens.grouping.kmeans import kmeans_groups
from semantic_tokens.tokenization.subword_counts import count_subwords, load_counts, save_counts

SINGLETONS = [0, 3, 199]
EMBEDDINGS = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)) * 3
KMEANS = kmeans_groups(
    EMBEDDINGS, metric="cosine", ratio=0.2, singletons=SINGLETONS, seed=1
).token_to_group
COUNTS = torch.randint(0, 30, (200,), generator=torch.Generator().manual_seed(2)) ** 2


def sizes_of(token_to_group: torch.Tensor) -> list[int]:
    return sorted(token_to_group.bincount().tolist())


@pytest.mark.parametrize("seed", range(3))
def test_random_groups_have_the_sizes_of_kmeans_and_keep_singletons(seed):
    groups = random_groups(EMBEDDINGS, KMEANS, singletons=SINGLETONS, seed=seed)
    assert sizes_of(groups.token_to_group) == sizes_of(KMEANS)
    assert not torch.equal(groups.token_to_group, KMEANS)
    for token in SINGLETONS:
        assert int((groups.token_to_group == groups.token_to_group[token]).sum()) == 1
    expected = groups_of(EMBEDDINGS, groups.token_to_group)
    assert torch.equal(groups.weight, expected.weight)
    repeated = random_groups(EMBEDDINGS, KMEANS, singletons=SINGLETONS, seed=seed)
    assert torch.equal(repeated.token_to_group, groups.token_to_group)
    other = random_groups(EMBEDDINGS, KMEANS, singletons=SINGLETONS, seed=seed + 1)
    assert not torch.equal(other.token_to_group, groups.token_to_group)


@pytest.mark.parametrize("seed", range(3))
def test_groups_may_have_the_embedding_of_one_member(seed):
    groups = random_groups(EMBEDDINGS, KMEANS, singletons=SINGLETONS, seed=0)
    assert with_embedding(groups, EMBEDDINGS, method="mean", seed=seed) is groups
    found = with_embedding(groups, EMBEDDINGS, method="member", seed=seed)
    assert torch.equal(found.token_to_group, groups.token_to_group)
    chosen = found.member_weight.nonzero().flatten()
    assert torch.equal(
        groups.token_to_group[chosen].sort().values, torch.arange(len(groups.weight))
    )
    assert torch.equal(found.weight[groups.token_to_group[chosen]], EMBEDDINGS[chosen])
    # Other parameters of subwords are averaged with the same weights, so they are this member's.
    means = group_means(EMBEDDINGS, groups.token_to_group, found.member_weight)
    assert torch.equal(means, found.weight)
    other = with_embedding(groups, EMBEDDINGS, method="member", seed=seed + 1)
    assert not torch.equal(other.weight, found.weight)
    assert not found.is_first_k and not groups.is_first_k


def test_zero_rows_stay_in_their_group():
    embeddings = EMBEDDINGS.clone()
    embeddings[50:70] = 0
    kmeans = kmeans_groups(
        embeddings, metric="cosine", ratio=0.2, singletons=SINGLETONS, seed=1
    ).token_to_group
    for groups in (
        random_groups(embeddings, kmeans, singletons=SINGLETONS, seed=1),
        frequency_groups(embeddings, kmeans, COUNTS, singletons=SINGLETONS),
    ):
        assert sizes_of(groups.token_to_group) == sizes_of(kmeans)
        zero = groups.token_to_group == groups.token_to_group[50]
        assert zero.nonzero().flatten().tolist() == list(range(50, 70))


def test_ids_without_a_subword_stay_in_their_group():
    outside = {"singletons": SINGLETONS, "without_subword": [7, 8, 120]}
    kmeans = kmeans_groups(
        EMBEDDINGS, metric="cosine", ratio=0.2, seed=1, **outside
    ).token_to_group  # fmt: skip
    assert len(kmeans.unique()) == round(0.2 * 197) + 1
    for groups in (
        random_groups(EMBEDDINGS, kmeans, seed=1, **outside),
        frequency_groups(EMBEDDINGS, kmeans, COUNTS, **outside),
    ):
        assert sizes_of(groups.token_to_group) == sizes_of(kmeans)
        alone = groups.token_to_group == groups.token_to_group[7]
        assert alone.nonzero().flatten().tolist() == [7, 8, 120]


def test_random_groups_are_uniform():
    """Over many draws, two subwords share a group as often as expected by chance from the sizes."""
    kmeans = torch.tensor([0, 1, 1, 1, 2, 2, 3, 3, 3, 3])
    shared = np.zeros((10, 10))
    draws = 3000
    for seed in range(draws):
        found = random_groups(torch.ones(10, 1), kmeans, singletons=[0], seed=seed).token_to_group
        shared += (found[:, None] == found[None]).numpy()
    expected_share = (3 * 2 + 2 * 1 + 4 * 3) / (9 * 8)
    share = shared[1:, 1:][~np.eye(9, dtype=bool)] / draws
    assert shared[0, 1:].sum() == 0
    np.testing.assert_allclose(share, expected_share, atol=0.04)


def test_frequency_groups_are_consecutive_ranks_with_the_sizes_of_kmeans():
    groups = frequency_groups(EMBEDDINGS, KMEANS, COUNTS, singletons=SINGLETONS).token_to_group
    assert sizes_of(groups) == sizes_of(KMEANS)
    order = [
        t for t in sorted(range(200), key=lambda t: (-int(COUNTS[t]), t)) if t not in SINGLETONS
    ]
    found = [int(groups[t]) for t in order]
    # A group that appears again after another one would not be consecutive.
    changes = sum(a != b for a, b in itertools.pairwise(found))
    assert changes == len(set(found)) - 1
    for token in SINGLETONS:
        assert int((groups == groups[token]).sum()) == 1


def test_frequent_subwords_are_in_groups_as_large_as_under_kmeans():
    # From the most frequent subword to the rarest: 3, 5, 6, 1, 0, 4, 2. K-Means has a pair, whose mean
    # rank is 1.5, a group of four (3.5) and a single subword (4).
    kmeans = torch.tensor([0, 1, 2, 1, 2, 2, 2])
    counts = torch.tensor([5, 60, 0, 90, 5, 80, 70])
    groups = frequency_groups(torch.ones(7, 1), kmeans, counts, singletons=[])
    assert groups.token_to_group.tolist() == [0, 0, 1, 2, 0, 2, 0]


def test_singleton_that_shares_a_group_is_refused():
    with pytest.raises(ValueError, match="subword 1 must be its own group"):
        random_groups(torch.ones(4, 1), torch.tensor([0, 1, 1, 2]), singletons=[0, 1], seed=0)


# Counts


def test_subwords_are_counted_over_corpora_and_languages(tmp_path):
    save_file(
        {"deu": torch.tensor([[0, 5, 5], [0, 2, 5]]).int(), "eng": torch.tensor([[0, 2, 1]]).int()},
        tmp_path / "a.safetensors",
    )
    save_file({"deu": torch.tensor([[0, 1, 1]]).int()}, tmp_path / "b.safetensors")
    counts = count_subwords([tmp_path / "a.safetensors", tmp_path / "b.safetensors"])
    assert counts.tolist() == [4, 3, 2, 0, 0, 3]
    swapped = count_subwords([tmp_path / "b.safetensors", tmp_path / "a.safetensors"])
    assert torch.equal(swapped, counts)
    save_counts(counts, tmp_path / "counts.safetensors")
    assert load_counts(tmp_path / "counts.safetensors", 8).tolist() == [4, 3, 2, 0, 0, 3, 0, 0]


def test_counts_of_another_vocabulary_are_refused(tmp_path):
    save_counts(torch.ones(9, dtype=torch.int64), tmp_path / "counts.safetensors")
    with pytest.raises(InputError, match=r"ids up to 8.* 5 rows"):
        load_counts(tmp_path / "counts.safetensors", 5)


def test_file_without_counts_is_refused(tmp_path):
    save_file({"other": torch.ones(1)}, tmp_path / "counts.safetensors")
    with pytest.raises(InputError, match="delete it"):
        load_counts(tmp_path / "counts.safetensors", 5)
