"""Sounds whose answers are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 32_000
Audio = NDArray[np.float32]


def chord(*pitches: int, duration_s: float = 2.0) -> Audio:
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    tones = [np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time_s) for pitch in pitches]
    return np.asarray(0.2 * np.sum(tones, axis=0), np.float32)


def tune(seed: int, seconds: int, note_s: float = 0.5) -> Audio:
    """Notes drawn by chance, struck every `note_s`, none of which lasts."""
    rng = np.random.default_rng(seed)
    fall = np.exp(-4 * np.linspace(0, 1, round(note_s * RATE_HZ)))
    pitches = rng.integers(50, 80, round(seconds / note_s))
    return np.concatenate([chord(int(p), duration_s=note_s) * fall for p in pitches]).astype(
        np.float32
    )
