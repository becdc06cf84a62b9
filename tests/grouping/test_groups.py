import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from semantic_tokens.errors import InputError
from semantic_tokens.grouping.first_k import first_k_groups
from semantic_tokens.grouping.groups import (
    Groups,
    canonical,
    group_means,
    groups_of,
    number_of_groups,
    ungrouped,
)
from semantic_tokens.grouping.lexicon_components import lexicon_groups

EMBEDDINGS = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)) * 3


def random_labels(seed: int, groups: int = 7) -> torch.Tensor:
    return torch.randint(groups, (40,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(5))
def test_a_semantic_embedding_is_the_mean_of_the_unnormalised_members(seed):
    groups = groups_of(EMBEDDINGS, random_labels(seed))
    for group in range(len(groups.weight)):
        members = EMBEDDINGS[groups.token_to_group == group].double()
        torch.testing.assert_close(groups.weight[group], members.mean(dim=0).float())


def test_mean_of_many_equal_embeddings_is_exact():
    count = 200_000
    embeddings = torch.full((count, 1), 0.1)
    mean = group_means(embeddings, torch.zeros(count, dtype=torch.int64))
    assert mean.item() == embeddings[0].item()


@pytest.mark.parametrize("shape", [(6,), (6, 3)])
def test_group_means_equal_the_means_of_the_members(shape):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    groups = torch.tensor([0, 1, 0, 2, 1, 0])
    found = group_means(values, groups)
    for group in range(3):
        torch.testing.assert_close(found[group], values[groups == group].mean(dim=0))
    weights = torch.tensor([1.0, 3.0, 2.0, 5.0, 1.0, 1.0])
    found = group_means(values, groups, weights)
    torch.testing.assert_close(found[1], (3 * values[1] + values[4]) / 4)
    torch.testing.assert_close(found[2], values[3])


@pytest.mark.parametrize("seed", range(5))
def test_equal_partitions_give_equal_files(seed, tmp_path):
    labels = random_labels(seed)
    renamed = torch.randperm(7, generator=torch.Generator().manual_seed(seed + 99))[labels] * 11
    groups_of(EMBEDDINGS, labels).save(tmp_path / "a")
    groups_of(EMBEDDINGS, renamed).save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_groups_are_numbered_by_their_smallest_member():
    token_to_group = canonical(random_labels(3)).tolist()
    in_order_of_members = list(dict.fromkeys(token_to_group))
    assert in_order_of_members == list(range(len(in_order_of_members)))


def test_ungrouped_is_the_identity():
    groups = ungrouped(EMBEDDINGS)
    assert torch.equal(groups.weight[groups.token_to_group], EMBEDDINGS)
    assert groups.ratio == 1.0


def test_groups_round_trip_unchanged(tmp_path):
    groups = groups_of(EMBEDDINGS, random_labels(1))
    groups.save(tmp_path / "groups.safetensors")
    loaded = Groups.load(tmp_path / "groups.safetensors")
    assert torch.equal(loaded.token_to_group, groups.token_to_group)
    assert torch.equal(loaded.weight, groups.weight)


@pytest.mark.parametrize(
    "tensors",
    [
        {"token_to_group": torch.tensor([0, 2, 2]), "weight": torch.zeros(3, 2)},  # 1 is empty
        {"token_to_group": torch.tensor([0, 1, 2]), "weight": torch.zeros(2, 2)},
        {"token_to_group": torch.tensor([0, -1]), "weight": torch.zeros(2, 2)},
        {"token_to_group": torch.tensor([0, 1], dtype=torch.int32), "weight": torch.zeros(2, 2)},
        {"token_to_group": torch.tensor([0, 1]), "weight": torch.zeros(2, 2).double()},
        {"token_to_group": torch.tensor([0, 1])},
    ],
)
def test_file_without_a_valid_partition_is_named_in_the_error(tensors, tmp_path):
    path = tmp_path / "groups.safetensors"
    save_file(tensors, path)
    with pytest.raises(InputError, match=r"groups\.safetensors.*delete it"):
        Groups.load(path)


def test_truncated_groups_file_is_named_in_the_error(tmp_path):
    path = tmp_path / "groups.safetensors"
    groups_of(EMBEDDINGS, random_labels(1)).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"groups\.safetensors.*delete it"):
        Groups.load(path)


@pytest.mark.parametrize(("ratio", "groups"), [(0.05, 5977), (0.1, 11955), (0.4, 47819)])
def test_number_of_groups_of_mbert_follows_the_ratio(ratio, groups):
    assert number_of_groups(119_547, ratio, singletons=5, grouping="kmeans-cosine") == groups


@pytest.mark.parametrize("ratio", [0.05, 0.0001, 1.2])
def test_an_impossible_ratio_names_the_row_to_fix(ratio):
    with pytest.raises(InputError, match=r"kmeans-cosine-x.*table of experiments"):
        number_of_groups(100, ratio, singletons=5, grouping="kmeans-cosine-x")


def test_first_k_maps_dropped_subwords_to_the_unknown_token():
    kept = [2, 30, 5, 9, 3]
    groups = first_k_groups(EMBEDDINGS, kept, unk_id=9)
    assert len(groups.weight) == len(kept)
    expected = EMBEDDINGS[[i if i in kept else 9 for i in range(40)]]
    assert torch.equal(groups.weight[groups.token_to_group], expected)


@pytest.mark.parametrize(("kept", "unk_id"), [([1, 2], 3), ([1, 40], 1), ([-1, 2], 2), ([], 0)])
def test_first_k_refuses_invalid_ids(kept, unk_id):
    with pytest.raises(ValueError, match="kept"):
        first_k_groups(EMBEDDINGS, kept, unk_id)


def test_lexicon_groups_are_connected_components_of_translations():
    pairs = np.array([[4, 8], [8, 15], [16, 23], [23, 16], [1, 15]])
    groups = lexicon_groups(EMBEDDINGS, pairs)
    partition = {
        frozenset((groups.token_to_group == group).nonzero().flatten().tolist())
        for group in range(len(groups.weight))
    }
    assert {group for group in partition if len(group) > 1} == {
        frozenset({1, 4, 8, 15}),
        frozenset({16, 23}),
    }
    assert len(groups.weight) == 40 - 3 - 1


def test_lexicon_groups_keep_special_tokens_as_singletons():
    groups = lexicon_groups(EMBEDDINGS, np.array([[0, 4], [0, 8], [5, 6]]), singletons=[0])
    assert len(groups.weight) == 39
    assert groups.token_to_group[4] != groups.token_to_group[8]


def test_lexicon_without_connections_names_the_file_to_fix():
    with pytest.raises(InputError, match="table of experiments"):
        lexicon_groups(EMBEDDINGS, np.empty((0, 2), dtype=np.int64))
