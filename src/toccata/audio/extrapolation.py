"""Extrapolate audio past its end by linear prediction.

samples -> Burg's predictor of their end -> the predictor fed with what it predicts
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toccata.audio.transforms import Samples

# In samples: how much of the end is analysed, a quarter of a second at 32 kHz, and what predicts
# the next.
ANALYSED, _ORDER = 8_192, 512
_SILENCE = 1e-12

Row = NDArray[np.float64]


def extrapolate(samples: Samples, count: int) -> Samples:
    """What may follow samples [C, N]: [C, count] float32, silence after silence.

    Steady tones go on in phase and fade away (Kauppinen and Roth 2002, "Audio signal
    extrapolation").
    """
    ends = samples[:, -ANALYSED:].astype(np.float64)
    return np.stack([_continued(end, count) for end in ends]).astype(np.float32)


def _predictor(signal: Row, order: int) -> Row:
    """Coefficients [order]: the next sample is their product with the last ones, newest first.

    Burg's method, whose predictions never grow (Burg 1975, "Maximum entropy spectral analysis").
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
