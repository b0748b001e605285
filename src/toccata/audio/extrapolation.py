"""Extrapolate audio past its end by linear prediction.

The coefficients are estimated from the end of the samples by Burg's method. Each predicted sample
is then an input of the next ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toccata.audio.transforms import Samples

# In samples: the length of the analysed end, a quarter of a second at 32 kHz, and the order of the
# predictor.
ANALYSED, _ORDER = 8_192, 512
_SILENCE = 1e-12

Row = NDArray[np.float64]


def extrapolate(samples: Samples, count: int) -> Samples:
    """Extrapolate audio (Kauppinen and Roth 2002, "Audio signal extrapolation").

    Steady tones continue in phase and decay; silence continues as silence.

    Args:
        samples: [C, N].
        count: How many samples are predicted.

    Returns:
        [C, count] float32, which follow `samples`.
    """
    ends = samples[:, -ANALYSED:].astype(np.float64)
    return np.stack([_continued(end, count) for end in ends]).astype(np.float32)


def _predictor(signal: Row, order: int) -> Row:
    """Estimate the coefficients [order] of linear prediction, for the newest sample first.

    With Burg's method, predictions never grow (Burg 1975, "Maximum entropy spectral analysis").
    """
    error = np.ones(1)
    forward, backward = signal[1:], signal[:-1]
    for _ in range(order):
        power = forward @ forward + backward @ backward
        reflection = -2 * (backward @ forward) / (power + _SILENCE)
        grown = np.append(error, 0.0)
        error = grown + reflection * grown[::-1]
        forward, backward = (
            forward[1:] + reflection * backward[1:],
            backward[:-1] + reflection * forward[:-1],
        )
    return -error[1:]


def _continued(end: Row, count: int) -> Row:
    order = min(_ORDER, len(end) // 4)
    weights = _predictor(end, order)[::-1]
    line = np.concatenate([end[len(end) - order :], np.zeros(count)])
    for now in range(order, order + count):
        line[now] = weights @ line[now - order : now]
    return line[order:]
