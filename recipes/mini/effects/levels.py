"""Gains in steps, loudness, and a soft ceiling."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recipes.mini.composer.composition import SAMPLE_RATE_HZ
from toccata.audio.meter import GATE_S, integrated_lufs

Floats = NDArray[np.float32]

TARGET_LUFS = -17.0
TARGET_RMS_DB = -17.0
_STEP_DB = 2.0  # few gains: the same drum in two songs is often the same sound
_KNEE, _CEILING = 0.6, 0.9
_MAX_OVER_CEILING = 2.0


def to_rms(audio: Floats) -> Floats:
    """Near the level that the effects expect; silence stays silence."""
    if not audio.any():
        return audio
    rms_db = 10 * math.log10(float(np.mean(np.square(audio))))
    return _raised(audio, TARGET_RMS_DB - rms_db)


def to_loudness(audio: Floats) -> Floats:
    """Near the target loudness, peaks bent below the ceiling; silence stays silence."""
    if not audio.any():
        return audio
    found = lufs(audio)
    return limit(_raised(audio, TARGET_LUFS - found) if math.isfinite(found) else audio)


def lufs(audio: Floats) -> float:
    """Integrated loudness of [N]."""
    block_s = min(GATE_S, audio.size / SAMPLE_RATE_HZ)
    return integrated_lufs(audio[None].astype(np.float64), SAMPLE_RATE_HZ, block_s)


def _raised(audio: Floats, gain_db: float) -> Floats:
    """By the nearest step, or by the most that the ceiling can bear."""
    room_db = 20 * math.log10(_MAX_OVER_CEILING / float(np.abs(audio).max()))
    steps = math.floor(min(gain_db, room_db) / _STEP_DB + 0.5)
    return audio * np.float32(10 ** (steps * _STEP_DB / 20))


def limit(audio: Floats) -> Floats:
    """Unchanged up to the knee, then bent towards the ceiling."""
    size = np.abs(audio)
    room = _CEILING - _KNEE
    bent = _KNEE + room * np.tanh((size - _KNEE) / room)
    return np.where(size > _KNEE, np.copysign(bent, audio), audio).astype(np.float32)
