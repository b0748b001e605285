"""Estimate tempo and beat positions from the period of the onsets.

onset envelope -> autocorrelation -> for every tempo, how strong its multiples are in it
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from toccata.analysis.spectrum import FRAMES_PER_SECOND, Samples, analysis_audio, mel_frames

Envelope = NDArray[np.float64]

# Factors of a tempo that listeners tap just as well.
OCTAVES = (0.25, 0.5, 1.0, 2.0, 4.0)

_SLOWEST_BPM, _OCTAVES_SEARCHED, _STEPS_PER_OCTAVE = 50.0, 2, 288  # 0.24 % apart
_BANDS = 36
_LOUDNESS_GAIN = 30.0  # log(1 + gain * magnitude): a rise counts in soft bands too
_LOCAL_MEAN_S = 1.0
_RISE_LEADS_FRAMES = 1  # a window sees an onset half its length before it is centred on it
# The weight of the onsets' autocorrelation after so many beats in the score of a tempo: a softmax
# regression on 300 songs of training seeds, clean, noisy and after the codec, rounded. Bars (4 and
# 8 beats) weigh most; thirds count against, because a triplet is not an octave of the beat.
_BEATS = {
    1 / 4: 0.5, 1 / 3: -0.15, 1 / 2: 1.0, 2 / 3: -0.35, 3 / 4: 0.3, 1: 1.0, 4 / 3: -0.35,
    3 / 2: 1.1, 2: 1.3, 3: 1.4, 4: 3.0, 6: 0.95, 8: 1.75,
}  # fmt: skip
# Mild: it only chooses between octaves of one tempo.
_LIKELY_BPM, _DISLIKE_PER_OCTAVE = 105.0, 0.05


@dataclass(frozen=True)
class Pulse:
    """Tempo and phase of the beats, which are at beat_s, beat_s + 60 / bpm, ..."""

    bpm: float
    beat_s: float


def estimate_bpm(samples: Samples, sample_rate_hz: int) -> float:
    """Estimate the tempo.

    Args:
        samples: [N] or [C, N].
        sample_rate_hz: Their rate.

    Returns:
        Beats per minute, from 50 to 200; 0 for audio without onsets.
    """
    onsets = onset_envelope(samples, sample_rate_hz)
    return _likeliest_bpm(onsets) if onsets.any() else 0.0


def find_pulse(samples: Samples, sample_rate_hz: int, bpm: float | None = None) -> Pulse | None:
    """Estimate tempo and phase of the beats.

    Args:
        samples: [N] or [C, N].
        sample_rate_hz: Their rate.
        bpm: The tempo, if it is known.

    Returns:
        The most likely pulse; None for audio without onsets.
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
    """Candidate tempi in bpm, and the score of each."""
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
    """The phase at which beats, and with less weight half-beats, meet the most onsets."""
    beat = 60 * FRAMES_PER_SECOND / bpm
    frames = np.arange(len(onsets))
    offsets = np.arange(0, beat, 0.5)
    half_beats = np.arange(int(2 * len(onsets) / beat) + 1)
    weights = np.where(half_beats % 2, 0.4, 1.0)
    at = offsets[:, None] + half_beats * beat / 2
    on_beats = np.interp(at, frames, onsets, right=0.0) @ weights
    return float((offsets[on_beats.argmax()] + _RISE_LEADS_FRAMES) / FRAMES_PER_SECOND % (60 / bpm))


def tempo_agrees(requested_bpm: float, detected_bpm: float, tolerance: float = 0.04) -> bool:
    """Whether two tempi agree, as "accuracy 2" of Gouyon et al. 2006 without its thirds.

    Args:
        requested_bpm: The reference, above 0.
        detected_bpm: The estimate.
        tolerance: The largest relative error.

    Returns:
        Whether the estimate is the reference, or half, twice, a quarter or four times of it.
    """
    return any(abs(detected_bpm * octave / requested_bpm - 1) <= tolerance for octave in OCTAVES)


def onset_envelope(samples: Samples, sample_rate_hz: int) -> Envelope:
    """Compute the onset strength: the mean rise of the log mel bands, less its local mean.

    Args:
        samples: [N] or [C, N].
        sample_rate_hz: Their rate.

    Returns:
        The envelope [T], FRAMES_PER_SECOND values a second.
    """
    audio = analysis_audio(samples, sample_rate_hz)
    loudness = torch.log1p(_LOUDNESS_GAIN * mel_frames(audio, _BANDS))
    rise = loudness.diff(dim=1).clamp(min=0).mean(0).numpy().astype(np.float64)
    half = round(_LOCAL_MEAN_S * FRAMES_PER_SECOND / 2)
    around = np.pad(rise, half, mode="symmetric")
    mean = np.convolve(around, np.ones(2 * half + 1) / (2 * half + 1), "valid")
    return np.asarray(rise - mean)


def _autocorrelation(envelope: Envelope) -> Envelope:
    """Autocorrelation, 1 at lag 0; that long lags have fewer pairs is compensated in part."""
    count = len(envelope)
    spectrum = np.fft.rfft(envelope, 4 * count)
    sums = np.fft.irfft(np.abs(spectrum) ** 2)[:count]
    means = sums / (count - 0.7 * np.arange(count))
    return np.asarray(means / means[0])
