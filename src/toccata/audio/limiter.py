"""A look-ahead limiter for peaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toccata.audio.transforms import Samples, peak, to_gain

LOOKAHEAD_S = 0.005  # the gain starts to fall so long before a peak
RELEASE_DB_PER_S = 60.0  # the speed of recovery: 6 dB take 0.1 s
_ROUNDING_DB = 1e-4  # keeps float32 rounding below the ceiling
_NOTHING_DB = 1e-9  # smaller reductions are rounding errors of the convolution


def limit(samples: Samples, sample_rate_hz: int, ceiling_db: float) -> Samples:
    """Lower peaks to a ceiling; all channels share one gain.

    Samples that are further from any peak than LOOKAHEAD_S and the release are not changed at all.

    Args:
        samples: [C, N].
        sample_rate_hz: Their rate.
        ceiling_db: The largest level in dBFS.

    Returns:
        [C, N].
    """
    if peak(samples) <= to_gain(ceiling_db):
        return samples
    curve_db = _gain_db(samples, sample_rate_hz, ceiling_db - _ROUNDING_DB)
    return samples * (10.0 ** (curve_db / 20.0)).astype(np.float32)


def _gain_db(samples: Samples, sample_rate_hz: int, ceiling_db: float) -> NDArray[np.float64]:
    """Compute the gain of each sample, [N], at most 0 dB.

    The minimum over a sliding window, smoothed by a window of the same length, is smooth, and is
    nowhere above the gain that a sample needs.
    """
    loudest = np.abs(samples).max(axis=0).astype(np.float64)
    needed = np.minimum(0.0, ceiling_db - 20.0 * np.log10(np.maximum(loudest, 1e-12)))
    half = max(1, round(LOOKAHEAD_S * sample_rate_hz / 2))
    window = np.hanning(2 * half + 3)[1:-1]
    lowest = _sliding_minimum(np.pad(_released(needed, sample_rate_hz), half, "edge"), window.size)
    smooth = np.convolve(np.pad(lowest, half, "edge"), window / window.sum(), "valid")
    return np.where(smooth > -_NOTHING_DB, 0.0, smooth)


def _released(needed_db: NDArray[np.float64], sample_rate_hz: int) -> NDArray[np.float64]:
    """Let each reduction recover at RELEASE_DB_PER_S, until a deeper one begins."""
    recovery = np.arange(needed_db.size) * (RELEASE_DB_PER_S / sample_rate_hz)
    released = np.minimum.accumulate(needed_db - recovery) + recovery
    return np.asarray(np.minimum(0.0, released))


def _sliding_minimum(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the minimum of every `size` adjacent values; each round doubles the window."""
    known = 1
    while known < size:
        more = min(known, size - known)
        values = np.minimum(values[:-more], values[more:])
        known += more
    return values
