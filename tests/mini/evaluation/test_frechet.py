"""The distance of two clouds whose distance is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recipes.mini.evaluation.tagger_frechet import distances, frechet
from toccata.errors import InputError


def cloud(seed: int, count: int = 4000, spread: float = 1.0, shift: float = 0.0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return spread * torch.randn(count, 3, generator=rng) + shift


def test_equal_clouds_are_nowhere_apart() -> None:
    assert frechet(cloud(0), cloud(0)) == pytest.approx(0.0, abs=1e-6)


def test_a_shift_counts_by_its_square() -> None:
    assert frechet(cloud(0), cloud(0) + 2.0) == pytest.approx(3 * 4.0, rel=1e-4)


def test_a_wider_cloud_is_as_far_as_its_deviations() -> None:
    assert frechet(cloud(0), 3 * cloud(0)) == pytest.approx(3 * 4.0, rel=0.1)


def test_few_points_in_many_directions_have_a_distance() -> None:
    rng = torch.Generator().manual_seed(0)
    few, others = torch.randn(5, 64, generator=rng), torch.randn(5, 64, generator=rng)
    assert frechet(few, others) > 0


def test_songs_themselves_are_as_far_as_their_halves() -> None:
    songs = list(cloud(1, 60))
    assert distances(songs, songs).ratio == 1.0


def test_worse_clips_are_farther() -> None:
    songs = list(cloud(1, 400))
    alike, worse = list(cloud(2, 400)), list(cloud(2, 400, shift=0.5))
    assert distances(alike, songs).ratio < 4 < distances(worse, songs).ratio


def test_too_few_songs_have_no_halves() -> None:
    with pytest.raises(InputError, match="4 songs"):
        distances(list(cloud(0, 3)), list(cloud(1, 3)))
