"""A chorus whose slow sweep takes a bar, so that a bar that returns sounds the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recipes.mini.composer.composition import SAMPLE_RATE_HZ

Floats = NDArray[np.float32]

_DELAY_MS, _SWEEP_MS = 12.0, 3.0


def chorus(audio: Floats, share: float, period: float) -> Floats:
    """`share` of the sound is delayed by 9 to 15 ms, in a sine that takes `period` samples."""
    time = np.arange(audio.size)
    phase = (2 * np.pi / period) * np.fmod(time, period)
    delay_ms = _DELAY_MS + _SWEEP_MS * np.sin(phase.astype(np.float32))
    delay = delay_ms * (SAMPLE_RATE_HZ / 1000)
    whole = delay.astype(np.int64)
    part = delay - whole
    before = int((_DELAY_MS + _SWEEP_MS) * SAMPLE_RATE_HZ / 1000) + 2
    padded = np.pad(audio, (before, 0))
    near = time + before - whole
    delayed = (1 - part) * padded[near] + part * padded[near - 1]
    return np.asarray((1 - share) * audio + share * delayed, np.float32)
