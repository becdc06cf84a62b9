import pytest
import torch

from semantic_tokens.embeddings.reduction import keep_leading_dimensions
from semantic_tokens.errors import InputError


def test_similarities_equal_those_of_the_zero_padded_matrix():
    full = torch.randn(50, 12)
    reduced = keep_leading_dimensions(full, 5)
    padded = full * (torch.arange(12) < 5)
    torch.testing.assert_close(reduced @ reduced.T, padded @ padded.T)


def test_keeping_all_dimensions_changes_nothing():
    full = torch.randn(7, 4)
    assert torch.equal(keep_leading_dimensions(full, 4), full)


@pytest.mark.parametrize("dimension", [0, -1, 13])
def test_impossible_dimension_names_the_file_to_fix(dimension):
    with pytest.raises(InputError, match="table of experiments"):
        keep_leading_dimensions(torch.randn(3, 12), dimension)
