"""A sound rings on as its end did."""

from __future__ import annotations

import numpy as np
import pytest

from toccata.audio.extrapolation import extrapolate

RATE_HZ, SEAM = 32_000, 1_600


def test_tones_go_on_in_phase() -> None:
    time = np.arange(RATE_HZ) / RATE_HZ
    tones = np.mean([np.sin(2 * np.pi * pitch_hz * time) for pitch_hz in (110, 277.2, 1319)], 0)
    wave = tones[None].astype(np.float32)
    rest = extrapolate(wave[:, :-SEAM], SEAM)
    assert rest.dtype == np.float32
    assert np.abs(rest - wave[:, -SEAM:]).max() < 0.03


def test_each_channel_goes_on_by_itself() -> None:
    time = np.arange(RATE_HZ) / RATE_HZ
    wave = np.stack([np.sin(2 * np.pi * 440 * time), np.zeros_like(time)]).astype(np.float32)
    rest = extrapolate(wave, SEAM)
    assert rest.shape == (2, SEAM)
    assert np.abs(rest[0]).max() > 0.9
    assert not rest[1].any()


def test_noise_never_grows() -> None:
    noise = np.random.default_rng(3).normal(0, 0.1, (1, RATE_HZ)).astype(np.float32)
    assert np.abs(extrapolate(noise, RATE_HZ)).max() < 0.6


@pytest.mark.parametrize("samples", [1, 3, 100])
def test_however_little_there_is_something_finite_follows(samples: int) -> None:
    rest = extrapolate(np.full((1, samples), 0.5, np.float32), 50)
    assert rest.shape == (1, 50)
    assert np.isfinite(rest).all()
    assert np.abs(rest).max() < 0.6
