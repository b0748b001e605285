"""How new audio is joined to a user's clip."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from toccata.audio.waveform import Samples
from toccata.continuation import join

RATE_HZ, GIVEN, COPIED, SEAM = 32_000, 20_000, 16_000, 1_600


def tone(first: int, count: int, channels: int = 1) -> Samples:
    wave = 0.5 * np.sin(2 * np.pi * 330 * np.arange(first, first + count) / RATE_HZ)
    return np.tile(wave, (channels, 1)).astype(np.float32)


def pieces(samples: Samples, length: int) -> Iterator[Samples]:
    for start in range(0, samples.shape[1], length):
        yield samples[:, start : start + length]


@pytest.mark.parametrize("length", [100, 640, 40_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_clip_rings_on_until_the_new_audio_is_there(length: int, channels: int) -> None:
    given = tone(0, GIVEN, channels)
    decoded = np.full((1, COPIED + 8_000), 0.25, np.float32)
    parts = join(given, pieces(decoded, length), COPIED, SEAM)
    joined = np.concatenate(list(parts), axis=1)
    assert joined.shape == (channels, GIVEN + 8_000)
    np.testing.assert_array_equal(joined[:, :GIVEN], given)
    np.testing.assert_array_equal(joined[:, GIVEN + SEAM :], 0.25)
    early = slice(GIVEN, GIVEN + 100)
    assert np.abs(joined[:, early] - tone(GIVEN, 100, channels)).max() < 0.04
    assert np.abs(np.diff(joined)).max() < 1.3 * np.abs(np.diff(given)).max()


def test_new_audio_shorter_than_the_seam_is_joined_too() -> None:
    decoded = np.zeros((1, COPIED + 10), np.float32)
    joined = np.concatenate(list(join(tone(0, GIVEN), iter([decoded]), COPIED, SEAM)), axis=1)
    assert joined.shape == (1, GIVEN + 10)
    assert np.isfinite(joined).all()
