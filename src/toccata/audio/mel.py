"""Mel filters, for spectrograms and for what networks are given.

They are numpy's, because the process of the server that draws them has no torch.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def mel_filters(
    n_fft: int,
    bands: int,
    sample_rate_hz: int,
    *,
    low_hz: float = 0.0,
    high_hz: float | None = None,
    straight_in: Literal["hz", "mel"] = "mel",
) -> NDArray[np.float32]:
    """Make triangular filters whose corners are evenly spaced in mel (O'Shaughnessy 1987).

    Args:
        n_fft: Samples of an FFT window.
        bands: How many filters there are.
        sample_rate_hz: The rate of the audio.
        low_hz: Where the first filter begins.
        high_hz: Where the last filter ends; None: at half the rate.
        straight_in: The scale on which the sides are straight: mel as in HTK and VGGish, Hz as in
            librosa and torchaudio.

    Returns:
        Filters [bands, n_fft // 2 + 1] with peaks of 1.
    """
    bins = np.asarray(np.fft.rfftfreq(n_fft, 1 / sample_rate_hz), np.float64)
    top_hz = sample_rate_hz / 2 if high_hz is None else high_hz
    lowest, highest = _mel(np.array([low_hz, top_hz])).tolist()
    corners = np.linspace(lowest, highest, bands + 2)
    corners, bins = (corners, _mel(bins)) if straight_in == "mel" else (_hz(corners), bins)
    low, centre, high = (corners[part, None] for part in (np.s_[:-2], np.s_[1:-1], np.s_[2:]))
    sides = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return np.maximum(sides, 0).astype(np.float32)


def _mel(frequency_hz: Doubles) -> Doubles:
    mel: Doubles = 2595 * np.log10(1 + frequency_hz / 700)
    return mel


def _hz(mel: Doubles) -> Doubles:
    hz: Doubles = 700 * (10 ** (mel / 2595) - 1)
    return hz
