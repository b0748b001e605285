"""Mel filters: triangles with a peak of one, the next beginning where the last is highest."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from toccata.audio.mel import mel_filters

SCALES: tuple[Literal["hz", "mel"], ...] = ("hz", "mel")


def mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


@pytest.mark.parametrize("scale", SCALES)
def test_neighbours_sum_to_one_between_the_peaks(scale: Literal["hz", "mel"]) -> None:
    filters = mel_filters(4096, 20, 32_000, straight_in=scale)
    assert filters.shape == (20, 2049)
    first, last = filters[0].argmax(), filters[-1].argmax()
    assert np.allclose(filters.sum(0)[first + 1 : last], 1, atol=1e-5)
    assert 0.9 < filters.max() <= 1


@pytest.mark.parametrize("scale", SCALES)
def test_peaks_are_evenly_spaced_in_mel(scale: Literal["hz", "mel"]) -> None:
    filters = mel_filters(16_384, 10, 32_000, low_hz=100, high_hz=8_000, straight_in=scale)
    peaks = [mel(int(row.argmax()) * 32_000 / 16_384) for row in filters]
    assert np.diff([mel(100), *peaks, mel(8_000)]) == pytest.approx(
        (mel(8_000) - mel(100)) / 11, rel=0.02
    )


def test_nothing_is_outside_the_limits() -> None:
    filters = mel_filters(1024, 8, 16_000, low_hz=1_000, high_hz=4_000)
    covered = filters.max(0) > 0
    hz = np.fft.rfftfreq(1024, 1 / 16_000)
    assert not covered[hz <= 1_000].any()
    assert not covered[hz >= 4_000].any()
    assert covered[(hz > 1_020) & (hz < 3_980)].all()
