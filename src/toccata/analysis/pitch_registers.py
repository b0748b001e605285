"""The input of the key classifier: the strength of each pitch class by register over time.

It is not the chroma of `conditioners.chroma`, whose filters belong to published checkpoints: bass
and chords stay apart here, and drums are removed, which makes keys easier to classify.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.analysis.spectrum import RATE_HZ, Samples, analysis_audio

_N_FFT, _HOP = 16_384, 4_096
_PITCHES = range(28, 100)  # MIDI, E1 to D#7
# MIDI pitches at the middle of each register: the bass, the chords, the tune, overtones.
_CENTRES, _WIDTH = (36.0, 48.0, 60.0, 72.0, 84.0), 7.0
_AROUND = 13  # semitones: a drum is as strong in all of them
REGISTERS = len(_CENTRES)


def pitch_registers(samples: Samples, sample_rate_hz: int) -> Tensor:
    """Compute the pitch classes of each register, independent of the level.

    Music a semitone higher gives nearly the same, one pitch class further on.

    Args:
        samples: [N] or [C, N].
        sample_rate_hz: Their rate.

    Returns:
        [REGISTERS, 12, T], 7.8 frames a second.
    """
    peaks = _peaks(_semitones(analysis_audio(samples, sample_rate_hz)))
    registers = torch.zeros(REGISTERS, 12, peaks.shape[1])
    for pitch, row in zip(_PITCHES, peaks, strict=True):
        registers[:, pitch % 12] += _shares()[pitch - _PITCHES.start][:, None] * row
    return registers


def _semitones(audio: Tensor) -> Tensor:
    """The strongest bin of every pitch [P, T], as a multiple of the mean, on a log scale."""
    window = torch.hann_window(_N_FFT)
    size = torch.stft(audio, _N_FFT, _HOP, window=window, return_complex=True).abs()
    rows = torch.stack([size[first:last].amax(0) for first, last in _bins()])
    return torch.log1p(4 * rows / rows.mean().clamp(min=1e-6))


def _peaks(pitches: Tensor) -> Tensor:
    """How far each pitch is above the mean of its neighbours."""
    half = _AROUND // 2
    padded = F.pad(pitches.T[None], (half, half), mode="replicate")
    return (pitches - F.avg_pool1d(padded, _AROUND, 1)[0].T).clamp(min=0)


@cache
def _bins() -> tuple[tuple[int, int], ...]:
    """The first and the end bin of each of _PITCHES, at least one bin."""
    pitches = [*_PITCHES, _PITCHES.stop]
    edges = [440 * 2 ** ((pitch - 69.5) / 12) * _N_FFT / RATE_HZ for pitch in pitches]
    firsts = [round(edge) for edge in edges]
    return tuple((first, max(last, first + 1)) for first, last in pairwise(firsts))


@cache
def _shares() -> Tensor:
    """The weight of each pitch in every register: [P, REGISTERS]."""
    distance = (torch.tensor(_PITCHES)[:, None] - torch.tensor(_CENTRES)) / _WIDTH
    return torch.exp(-0.5 * distance.square())
