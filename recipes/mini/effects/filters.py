"""Linear effects, as responses that are multiplied and then applied at once.

A response [SIZE / 2 + 1] holds the gain and phase at each frequency of a spectrum of SIZE samples.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recipes.mini.composer.composition import SAMPLE_RATE_HZ

Floats = NDArray[np.float32]
Response = NDArray[np.complex64]
SIZE = 2**17
MEMORY = SAMPLE_RATE_HZ // 8  # samples after which the filters here have forgotten


def low_shelf(corner_hz: float, gain_db: float) -> Response:
    """The gain far below the corner, half of it (in dB) at the corner, nothing far above."""
    s, root = _s(corner_hz), 10 ** (gain_db / 40)
    return np.asarray((s + root) / (s + 1 / root), np.complex64)


def high_shelf(corner_hz: float, gain_db: float) -> Response:
    """The gain far above the corner, half of it (in dB) at the corner, nothing far below."""
    s, root = _s(corner_hz), 10 ** (gain_db / 40)
    return np.asarray((1 + s * root) / (1 + s / root), np.complex64)


def low_pass(corner_hz: float) -> Response:
    """Butterworth, second order: -3 dB at the corner."""
    s = _s(corner_hz)
    return np.asarray(1 / (1 + math.sqrt(2) * s + s * s), np.complex64)


def _s(corner_hz: float) -> NDArray[np.complex128]:
    """The bilinear transform's s, 1j at the corner."""
    # The last frequency, where the tangent has its pole, is left out by a hair.
    angles = np.linspace(0, np.pi / 2 * (1 - 1e-9), SIZE // 2 + 1)
    return np.asarray(1j * np.tan(angles) / math.tan(math.pi * corner_hz / SAMPLE_RATE_HZ))


def apply(response: Response, audio: Floats, memory: int) -> Floats:
    """Audio [N] through a filter that forgets after `memory` samples, by overlap and save."""
    padded = np.pad(audio, (memory, 0))
    pieces = []
    for start in range(0, audio.size, SIZE - memory):
        spectrum = np.fft.rfft(padded[start : start + SIZE], SIZE) * response
        pieces.append(np.fft.irfft(spectrum, SIZE)[memory:])
    return np.concatenate(pieces)[: audio.size].astype(np.float32)
