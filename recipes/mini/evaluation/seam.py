"""Whether the seam of a continuation can be detected.

The spectral flux at the seam is ranked among that at the same phase of the beats around it. A seam
that stands out ranks above 0.5; the chance level is 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recipes.mini.composer.examples import Example
from recipes.mini.evaluation.reference_songs import INPUT_S
from toccata.analysis.spectrum import FRAMES_PER_SECOND, Samples, mel_frames
from toccata.generation.continuation import SEAM_S

Flux = NDArray[np.float64]

_BANDS, _GAIN = 40, 30.0
_AROUND_S = 2.0
_BEFORE_S = 0.03
_AFTER_S = SEAM_S + 0.03  # the whole crossfade, and what follows it
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Seam:
    """The mean rank, 0 to 1, of the flux at the seam, and its 95 % confidence interval.

    ranks: by clip. curve: the mean flux from 1 s before to 1 s after, by 10 ms.
    """

    ranks: tuple[float, ...]
    curve: tuple[float, ...]

    @property
    def rank(self) -> float:
        return round(float(np.mean(self.ranks)), 4)

    @property
    def interval(self) -> tuple[float, float]:
        """The confidence interval; 0 to 1 for a single clip."""
        if len(self.ranks) < 2:
            return 0.0, 1.0
        half = _NORMAL_95 * float(np.std(self.ranks, ddof=1)) / math.sqrt(len(self.ranks))
        return round(self.rank - half, 4), round(self.rank + half, 4)

    @property
    def detectable(self) -> bool:
        """Whether the interval is above the chance level."""
        return self.interval[0] > 0.5

    def to_json(self) -> dict[str, float]:
        low, high = self.interval
        return {"rank": self.rank, "low": low, "high": high}


def seams(clips: Sequence[Samples], songs: Sequence[Example], at_s: float = INPUT_S) -> Seam:
    """Rank the seams, at `at_s`, of clips [N] at RATE_HZ."""
    fluxes = [spectral_flux(samples) for samples in clips]
    pairs = zip(fluxes, songs, strict=True)
    ranks = tuple(seam_rank(flux, song.song.facts.bpm, at_s) for flux, song in pairs)
    around = round((at_s - 1) * FRAMES_PER_SECOND), round((at_s + 1) * FRAMES_PER_SECOND)
    curve = np.mean([flux[slice(*around)] for flux in fluxes], axis=0)
    return Seam(ranks, tuple(round(float(value), 5) for value in curve))


def spectral_flux(samples: Samples) -> Flux:
    """The mean change of the log mel bands [T], FRAMES_PER_SECOND values a second."""
    loudness = torch.log1p(_GAIN * mel_frames(torch.from_numpy(samples), _BANDS))
    return loudness.diff(dim=1).abs().mean(0).numpy().astype(np.float64)


def seam_rank(flux: Flux, bpm: float, at_s: float) -> float:
    """The share of comparable moments with less flux than the seam; equal ones count half."""
    beat_s = 60 / bpm
    beats = int(_AROUND_S / beat_s)
    others = [
        _highest(flux, at_s + beat * beat_s) for beat in range(-beats, beats + 1) if beat != 0
    ]
    own = _highest(flux, at_s)
    return float(np.mean([(own > other) + 0.5 * (own == other) for other in others]))


def _highest(flux: Flux, at_s: float) -> float:
    first = max(round((at_s - _BEFORE_S) * FRAMES_PER_SECOND), 0)
    return float(flux[first : round((at_s + _AFTER_S) * FRAMES_PER_SECOND) + 1].max())
