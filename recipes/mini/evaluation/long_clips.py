"""Whether a minute of music is steady: without silence, loops or a drift of loudness.

The limit for loops is measured on songs: a clip loops if it changes less, or repeats itself at
shorter distances, than 99 of 100 songs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.analysis.spectrum import FRAMES_PER_SECOND, RATE_HZ, Samples, mel_frames
from toccata.audio.loudness import loudness_lufs
from toccata.audio.waveform import Waveform

SILENCE_RMS = 3.2e-3  # -50 dBFS
SILENT_S, STUCK_S = 1.0, 10.0
MAX_DRIFT_LU = 2.0
_PASSING = 0.995  # of songs, at each of the two measures of being looping
_BANDS, _BLOCK_FRAMES = 64, 5
_BLOCKS_PER_SECOND = FRAMES_PER_SECOND / _BLOCK_FRAMES
_STRIDE_S = 1.0
# A bar is seldom shorter, and music that repeats bar by bar is music.
_LONGEST_LOOP_S = 1.5
_FLOOR = 1e-4


class Likeness(NamedTuple):
    """Over any 10 s of a clip, the highest mean cosine, -1 to 1, between its spectrum and that
    0.25 s later (`still`), and that up to 1.5 s later, at the lag where it is highest (`looped`).
    """

    still: float
    looped: float


@dataclass(frozen=True)
class Steadiness:
    """The faults of one clip. drift_lu: how much louder its last third is than its first."""

    silent: bool
    looping: bool
    drift_lu: float

    @property
    def steady(self) -> bool:
        return not (self.silent or self.looping) and abs(self.drift_lu) <= MAX_DRIFT_LU


def likeness(samples: Samples) -> Likeness:
    """Measure samples [N] at RATE_HZ, 10 s or more."""
    blocks = _blocks(samples)
    by_lag = torch.stack([_alike(blocks, lag) for lag in _lags()])
    return Likeness(float(by_lag[0].max()), float(by_lag.max()))


def limits(songs: Sequence[Samples]) -> Likeness:
    """The likeness that hardly any song exceeds."""
    return Likeness(*np.quantile([likeness(song) for song in songs], _PASSING, axis=0).tolist())


def steadiness(samples: Samples, most: Likeness) -> Steadiness:
    """Measure samples [N] at RATE_HZ; `most` is the highest likeness without a loop."""
    own = likeness(samples)
    first, last = thirds_lufs(samples)
    drift_lu = last - first if np.isfinite([first, last]).all() else np.inf
    looping = own.still > most.still or own.looped > most.looped
    return Steadiness(falls_silent(samples), looping, round(float(drift_lu), 3))


def faults(clips: Sequence[Steadiness]) -> dict[str, float]:
    """The shares of clips with each fault, and the median drift up or down."""
    drifts = [abs(clip.drift_lu) for clip in clips]
    return {
        "silent": round(float(np.mean([clip.silent for clip in clips])), 4),
        "looping": round(float(np.mean([clip.looping for clip in clips])), 4),
        "drifting": round(float(np.mean([drift > MAX_DRIFT_LU for drift in drifts])), 4),
        "median_drift_lu": round(float(np.median(drifts)), 3),
    }


def falls_silent(samples: Samples) -> bool:
    """Whether any second is below -50 dBFS."""
    size = round(SILENT_S * RATE_HZ)
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    return bool((energy[size:] - energy[:-size] < size * SILENCE_RMS**2).any())


def thirds_lufs(samples: Samples) -> tuple[float, float]:
    """Integrated loudness of the first and of the last third."""
    third = len(samples) // 3
    parts = samples[:third], samples[-third:]
    first, last = (loudness_lufs(Waveform(part[None], RATE_HZ)) for part in parts)
    return first, last


def _blocks(samples: Samples) -> Tensor:
    """The log spectrum of every 50 ms [bands, B] without what all of them share, at length 1."""
    mel = mel_frames(torch.from_numpy(samples), _BANDS)
    loudness = F.avg_pool1d(mel, _BLOCK_FRAMES).clamp(min=_FLOOR).log()
    return F.normalize(loudness - loudness.mean(0), dim=0)


def _alike(blocks: Tensor, lag: int) -> Tensor:
    """The mean likeness to what is `lag` blocks later, for each 10 s [W]."""
    cosine = (blocks[:, lag:] * blocks[:, :-lag]).sum(0)
    width = round(STUCK_S * _BLOCKS_PER_SECOND) - lag
    return F.avg_pool1d(cosine[None], width, round(_STRIDE_S * _BLOCKS_PER_SECOND))[0]


def _lags() -> list[int]:
    """From a quarter of a second to the longest loop, in blocks."""
    first, last = round(0.25 * _BLOCKS_PER_SECOND), round(_LONGEST_LOOP_S * _BLOCKS_PER_SECOND)
    return list(range(first, last + 1))
