"""Effects on the size of samples: saturation and compression."""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from recipes.mini.composer.composition import SAMPLE_RATE_HZ

Floats = NDArray[np.float32]

BLOCK = SAMPLE_RATE_HZ // 1000  # the detector looks once in a millisecond
_FLOOR = 1e-5
_ATTACK_MS, _RELEASE_MS = 3.0, 120.0


def saturate(audio: Floats, drive_db: float) -> Floats:
    """Small samples stay as they are; none leaves +-1/g, where g is the drive as a factor."""
    drive = np.float32(10 ** (drive_db / 20))
    return np.asarray(np.tanh(audio * drive) / drive, np.float32)


def compress(audio: Floats, ratio: float, threshold_db: float, knee_db: float = 6.0) -> Floats:
    """Levels over the threshold (dBFS, of peaks) rise by 1/ratio: feed-forward, no make-up gain.

    Giannoulis, Massberg and Reiss, "Digital dynamic range compressor design", 2012, section 2.
    """
    if audio.size == 0:
        return audio
    over_db = _smooth(_peaks_db(audio)) - threshold_db
    gains = np.asarray(10 ** (_gain_db(over_db, ratio, knee_db) / 20), np.float32)
    return np.multiply(audio, _per_sample(gains, audio.size), dtype=np.float32)


def _peaks_db(audio: Floats) -> Floats:
    blocks = np.pad(np.abs(audio), (0, -audio.size % BLOCK)).reshape(-1, BLOCK)
    return np.asarray(20 * np.log10(np.maximum(blocks.max(axis=1), _FLOOR)), np.float32)


def _smooth(levels_db: Floats) -> Floats:
    """Quick to rise and slow to fall; sequential, but once in a millisecond only."""
    attack, release = (1 - math.exp(-1 / time_ms) for time_ms in (_ATTACK_MS, _RELEASE_MS))

    def follow(held: float, level: float) -> float:
        return held + (attack if level > held else release) * (level - held)

    return np.fromiter(accumulate(levels_db.tolist(), follow), np.float32, levels_db.size)


def _gain_db(over_db: Floats, ratio: float, knee_db: float) -> Floats:
    """Nothing below the knee, a parabola within it, a line above."""
    within = np.square(np.clip(over_db + knee_db / 2, 0, knee_db)) / (2 * knee_db)
    return np.asarray((1 / ratio - 1) * (within + np.maximum(over_db - knee_db / 2, 0)))


def _per_sample(gains: Floats, size: int) -> Floats:
    """Straight lines from the gain of each block to that of the next."""
    rise = np.diff(gains, append=gains[-1:])
    lines = gains[:, None] + rise[:, None] * (np.arange(BLOCK, dtype=np.float32) / BLOCK)
    return np.asarray(lines, np.float32).reshape(-1)[:size]
