"""The distance of Gaussians that are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from toccata.errors import InputError
from toccata.evaluation.frechet import frechet

COUNT = 64


def embeddings(mean: list[float], covariance: list[list[float]], seed: int = 0) -> Tensor:
    """COUNT rows with exactly this mean and covariance."""
    width = len(mean)
    raw = torch.randn(COUNT, width, generator=torch.manual_seed(seed), dtype=torch.float64)
    centred = raw - raw.mean(0)
    spread = torch.linalg.cholesky(centred.T @ centred / (COUNT - 1))
    white = torch.linalg.solve_triangular(spread, centred.T, upper=False).T
    wanted = torch.linalg.cholesky(torch.tensor(covariance, dtype=torch.float64))
    return torch.matmul(white, wanted.T) + torch.tensor(mean, dtype=torch.float64)


def test_in_one_dimension_means_and_deviations_are_held_apart() -> None:
    found = frechet(embeddings([1.0], [[4.0]]), embeddings([4.0], [[25.0]], seed=1))
    assert found.distance == pytest.approx((1 - 4) ** 2 + (2 - 5) ** 2)
    assert (found.made, found.against, found.width, found.warning) == (COUNT, COUNT, 1, None)


def test_axes_that_are_not_shared_count() -> None:
    one, other = [[2.0, 0.5], [0.5, 1.0]], [[1.0, -0.3], [-0.3, 3.0]]
    product = torch.tensor(one) @ torch.tensor(other)
    # The trace of the root of a 2 x 2 matrix, by its own trace and determinant.
    shared = math.sqrt(product.trace() + 2 * math.sqrt(torch.linalg.det(product)))
    found = frechet(embeddings([0.0, 0.0], one), embeddings([1.0, -2.0], other, seed=1))
    assert found.distance == pytest.approx(5 + 3 + 4 - 2 * shared, rel=1e-6)


def test_a_set_is_no_distance_from_itself() -> None:
    rows = torch.randn(200, 32, generator=torch.manual_seed(2))
    assert frechet(rows, rows.flip(0)).distance == pytest.approx(0, abs=1e-9)


def test_neither_is_one_that_cannot_fill_its_dimensions_and_that_is_said() -> None:
    rows = 100 * torch.randn(8, 128, generator=torch.manual_seed(3))
    found = frechet(rows, rows)
    assert found.distance == pytest.approx(0, abs=1e-6)
    assert found.warning is not None
    assert "8 embeddings cannot fill 128" in found.warning


def test_one_embedding_has_no_spread() -> None:
    with pytest.raises(InputError, match=r"made: 1 .* give more audio"):
        frechet(torch.zeros(1, 4), torch.zeros(5, 4))


def test_what_cannot_be_compared_is_named() -> None:
    with pytest.raises(InputError, match="against"):
        frechet(torch.zeros(5, 4), torch.zeros(5, 3))
    with pytest.raises(InputError, match="finite"):
        frechet(torch.zeros(5, 4), torch.full((5, 4), math.nan))
