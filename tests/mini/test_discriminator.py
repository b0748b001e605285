from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recipes.mini.codec.discriminator import (
    SCALES,
    Discriminator,
    discriminator_loss,
    generator_loss,
)


@pytest.fixture
def discriminator() -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(filters=4)


def _tone(hz: float) -> Tensor:
    """[2, 6400] at 32 kHz."""
    return torch.sin(2 * torch.pi * hz * torch.arange(6400) / 32_000).expand(2, -1).clone() * 0.3


def test_every_scale_gives_scores_and_features(discriminator: Discriminator) -> None:
    verdicts = discriminator(_tone(440))
    assert len(verdicts) == len(SCALES)
    assert all(score.shape[:2] == (2, 1) and len(features) == 4 for score, features in verdicts)


def test_it_learns_to_tell_noise_from_a_tone(discriminator: Discriminator) -> None:
    real, made = _tone(440), torch.randn(2, 6400) * 0.2
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    first = discriminator_loss(discriminator, real, made).item()
    for _ in range(25):
        optimizer.zero_grad()
        loss = discriminator_loss(discriminator, real, made)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < 0.5 < first
    assert (
        generator_loss(discriminator, real, real)[0]
        < 0.5
        < generator_loss(discriminator, real, made)[0]
    )


def test_features_match_those_of_the_same_sound_only(discriminator: Discriminator) -> None:
    assert generator_loss(discriminator, _tone(440), _tone(440))[1] == 0
    assert generator_loss(discriminator, _tone(440), _tone(900))[1] > 0.05


def test_the_verdict_teaches_the_maker_and_not_the_judge(discriminator: Discriminator) -> None:
    made = _tone(500).requires_grad_()
    loss = torch.stack(generator_loss(discriminator, _tone(440), made)).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert made.grad is not None
    assert made.grad.abs().max() > 0
    assert all(
        weight.grad is None and weight.requires_grad for weight in discriminator.parameters()
    )
