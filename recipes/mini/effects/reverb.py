"""Artificial reverb: early reflections, then noise that decays by frequency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from recipes.mini.composer.composition import SAMPLE_RATE_HZ

# Upper edges of the bands that decay at times of their own, and each band's level.
_EDGES_HZ = (250.0, 1500.0, 5000.0, SAMPLE_RATE_HZ / 2)
_LEVELS_DB = (-6.0, 0.0, 0.0, -3.0)  # low frequencies that linger are mud


@dataclass(frozen=True)
class Reverb:
    """`decays_s`: the times in which each band falls by 60 dB, from the lowest up."""

    seed: int
    decays_s: tuple[float, float, float, float]
    delay_s: float  # until the first reflection
    early_s: float  # reflections are single until then
    reflections: int
    early_db: float  # their energy, relative to the tail's


ROOMS: Mapping[str, Reverb] = MappingProxyType(
    {
        "room": Reverb(1, (0.35, 0.35, 0.28, 0.2), 0.004, 0.025, 8, 2.0),
        "plate": Reverb(2, (0.6, 0.8, 0.8, 0.6), 0.001, 0.004, 4, -12.0),
        "hall": Reverb(3, (1.6, 1.5, 1.2, 0.7), 0.02, 0.08, 10, -4.0),
    }
)

Floats = NDArray[np.float32]


def answer(room: Reverb) -> Floats:
    """What comes back from a click, without the click: [N] with an energy of 1."""
    rng = np.random.Generator(np.random.PCG64(room.seed))
    size = int((room.delay_s + max(room.decays_s)) * SAMPLE_RATE_HZ)
    tail = _unit(_tail(rng, room, size))
    early = _unit(_early(rng, room, size)) * 10 ** (room.early_db / 20)
    return _unit(tail + early).astype(np.float32)


def _unit(samples: Floats) -> Floats:
    return np.asarray(samples / np.sqrt(np.square(samples).sum()))


def _early(rng: np.random.Generator, room: Reverb, size: int) -> Floats:
    """Reflections at random, the later the softer."""
    times_s = rng.uniform(room.delay_s, room.early_s, room.reflections)
    signs = rng.choice((-1.0, 1.0), room.reflections)
    early = np.zeros(size, np.float32)
    early[(times_s * SAMPLE_RATE_HZ).astype(int)] = signs * room.delay_s / times_s
    return early


def _tail(rng: np.random.Generator, room: Reverb, size: int) -> Floats:
    spectrum = np.fft.rfft(rng.standard_normal(size))
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    time_s = np.arange(size) / SAMPLE_RATE_HZ - room.delay_s
    tail, low_hz = np.zeros(size), 0.0
    for high_hz, level_db, decay_s in zip(_EDGES_HZ, _LEVELS_DB, room.decays_s, strict=True):
        band = np.fft.irfft(spectrum * ((hz >= low_hz) & (hz < high_hz)), size)
        tail += band * 10 ** (level_db / 20 - 3 * time_s / decay_s)
        low_hz = high_hz
    return np.asarray(np.where(time_s >= 0, tail, 0), np.float32)
