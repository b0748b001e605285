"""The cosine of clips and captions that were put where they are."""

from __future__ import annotations

import pytest
import torch

from toccata.errors import InputError
from toccata.evaluation.clap_score import clap_score

X, Y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])


def test_it_is_the_mean_cosine() -> None:
    clips = [X[None], Y[None], -X[None], (X + Y)[None]]
    found = clap_score(clips, torch.stack([3 * X, X, X, X]))
    assert found.score == pytest.approx((1 + 0 - 1 + 0.5**0.5) / 4)
    assert found.clips == 4


def test_all_windows_of_a_clip_count_alike() -> None:
    found = clap_score([torch.stack([5 * X, Y])], X[None])
    assert found.score == pytest.approx(0.5**0.5)


def test_every_clip_needs_a_caption() -> None:
    with pytest.raises(InputError, match=r"captions: 1 .* give 2"):
        clap_score([X[None], Y[None]], X[None])
