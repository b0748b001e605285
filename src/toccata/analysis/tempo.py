"""Estimate the tempo from the period of the onsets, and the positions of the beats.

onset envelope -> autocorrelation -> for every tempo, how strong its multiples are in it
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from toccata.analysis.spectrum import FRAMES_PER_SECOND, Samples, heard, mel_frames

Envelope = NDArray[np.float64]

# What a tagger may tap just as well.
OCTAVES = (0.25, 0.5, 1.0, 2.0, 4.0)

_SLOWEST_BPM, _OCTAVES_SEARCHED, _STEPS_PER_OCTAVE = 50.0, 2, 288  # 0.24 % apart
_BANDS = 36
_LOUDNESS_GAIN = 30.0  # log(1 + gain * magnitude): a rise counts in soft bands too
_LOCAL_MEAN_S = 1.0
_RISE_LEADS_FRAMES = 1  # a window sees an onset half its length before it is centred on it
# How much an echo of the onsets after so many beats speaks for a tempo: a softmax regression on
# 300 songs of training seeds, clean, noisy and after the codec, rounded. Bars (4 beats, 8 beats)
# tell most; thirds speak against, because the pulse of a triplet is none of the beat's octaves.
_BEATS = {
    1 / 4: 0.5, 1 / 3: -0.15, 1 / 2: 1.0, 2 / 3: -0.35, 3 / 4: 0.3, 1: 1.0, 4 / 3: -0.35,
    3 / 2: 1.1, 2: 1.3, 3: 1.4, 4: 3.0, 6: 0.95, 8: 1.75,
}  # fmt: skip
# Mild: it only chooses between octaves of one tempo.
_LIKELY_BPM, _DISLIKE_PER_OCTAVE = 105.0, 0.05


@dataclass(frozen=True)
class Pulse:
    """Beats at beat_s, beat_s + 60 / bpm, ..."""

    bpm: float
    beat_s: float


def estimate_bpm(samples: Samples, sample_rate_hz: int) -> float:
    """Beats per minute, from 50 to 200, of samples [N] or [C, N]; 0 where nothing ever starts."""
    onsets = onset_envelope(samples, sample_rate_hz)
    return _likeliest_bpm(onsets) if onsets.any() else 0.0


def find_pulse(samples: Samples, sample_rate_hz: int, bpm: float | None = None) -> Pulse | None:
    """The likeliest pulse of samples [N] or [C, N], that of `bpm` if it is given; None where
    nothing ever starts.
    """
    onsets = onset_envelope(samples, sample_rate_hz)
    if not onsets.any():
        return None
    tempo = _likeliest_bpm(onsets) if bpm is None else bpm
    return Pulse(tempo, _first_beat_s(onsets, tempo))


def _likeliest_bpm(onsets: Envelope) -> float:
    bpm, score = _tempo_scores(onsets)
    return float(bpm[score.argmax()])


def _tempo_scores(onsets: Envelope) -> tuple[Envelope, Envelope]:
    """Every tempo searched, in bpm, and how much speaks for it."""
    echo = _autocorrelation(onsets)
    steps = np.arange(_OCTAVES_SEARCHED * _STEPS_PER_OCTAVE + 1)
    bpm = _SLOWEST_BPM * 2 ** (steps / _STEPS_PER_OCTAVE)
    beat = 60 * FRAMES_PER_SECOND / bpm
    lags = np.arange(len(echo))
    score = -_DISLIKE_PER_OCTAVE * np.log2(bpm / _LIKELY_BPM) ** 2
    for beats, weight in _BEATS.items():
        score += weight * np.interp(beats * beat, lags, echo, right=0.0)
    return bpm, score


def _first_beat_s(onsets: Envelope, bpm: float) -> float:
    """Where in the first beat's time the beats have most onsets on them, and half-beats some."""
    beat = 60 * FRAMES_PER_SECOND / bpm
    frames = np.arange(len(onsets))
    offsets = np.arange(0, beat, 0.5)
    half_beats = np.arange(int(2 * len(onsets) / beat) + 1)
    weights = np.where(half_beats % 2, 0.4, 1.0)
    at = offsets[:, None] + half_beats * beat / 2
    on_beats = np.interp(at, frames, onsets, right=0.0) @ weights
    return float((offsets[on_beats.argmax()] + _RISE_LEADS_FRAMES) / FRAMES_PER_SECOND % (60 / bpm))


def tempo_agrees(asked_bpm: float, heard_bpm: float, tolerance: float = 0.04) -> bool:
    """Whether both are the same tempo within `tolerance`, or whole octaves (x2, x4) apart.

    A third of a tempo, or three halves, is another tempo.
    """
    return any(abs(heard_bpm * octave / asked_bpm - 1) <= tolerance for octave in OCTAVES)


def onset_envelope(samples: Samples, sample_rate_hz: int) -> Envelope:
    """How much the bands rise, FRAMES_PER_SECOND times a second, less the local mean: [T]."""
    loudness = torch.log1p(_LOUDNESS_GAIN * mel_frames(heard(samples, sample_rate_hz), _BANDS))
    rise = loudness.diff(dim=1).clamp(min=0).mean(0).numpy().astype(np.float64)
    half = round(_LOCAL_MEAN_S * FRAMES_PER_SECOND / 2)
    around = np.pad(rise, half, mode="symmetric")
    mean = np.convolve(around, np.ones(2 * half + 1) / (2 * half + 1), "valid")
    return np.asarray(rise - mean)


def _autocorrelation(envelope: Envelope) -> Envelope:
    """1 at lag 0. Long lags have fewer pairs: most of that is made up for, but not all."""
    count = len(envelope)
    spectrum = np.fft.rfft(envelope, 4 * count)
    sums = np.fft.irfft(np.abs(spectrum) ** 2)[:count]
    means = sums / (count - 0.7 * np.arange(count))
    return np.asarray(means / means[0])
