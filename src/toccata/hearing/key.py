"""Which key is it."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from torch import Tensor

from toccata.errors import InputError
from toccata.hearing.registers import pitch_registers
from toccata.hearing.spectrum import RATE_HZ, Samples, heard
from toccata.hearing.weights import key_network

Mode = Literal["major", "minor"]
Key = tuple[int, Mode]
"""The pitch class of the tonic, C being 0, and the mode."""
MODES: tuple[Mode, Mode] = ("major", "minor")
KEYS: tuple[Key, ...] = tuple((tonic, mode) for mode in MODES for tonic in range(12))

_NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "b": -1}

_N_FFT, _HOP = 8_192, 4_096
_PITCHES = range(28, 96)  # MIDI, E1 to B6
_CENTRE_PITCH, _PITCH_WIDTH = 64.0, 16.0  # melody and chords count more than bass and overtones
# How much the log of each pitch class, counted up from the tonic, speaks for the key. A softmax
# regression on 600 songs of training seeds. Published profiles (Krumhansl and Kessler 1982,
# Temperley 2007) name about 10 % fewer keys right on this music.
_PROFILES: dict[Mode, tuple[float, ...]] = {
    "major": (1.81, -0.45, 0.04, -1.37, 0.63, 0.71, -1.14, 1.44, -0.64, 0.56, -1.91, 0.44),
    "minor": (2.53, -1.48, -0.27, 1.21, -1.29, 0.32, -1.14, 0.77, 0.59, -1.34, -0.07, 0.07),
}
_RARE = 0.01  # the share below which a pitch class counts as absent


def estimate_key(samples: Samples, sample_rate_hz: int) -> Key:
    """The most likely key of samples [N] or [C, N]."""
    scores = key_scores(samples, sample_rate_hz)
    return max(scores, key=lambda key: scores[key])


def key_scores(samples: Samples, sample_rate_hz: int) -> dict[Key, float]:
    """How likely each of the 24 keys is, as the log of a probability, for samples [N] or [C, N].

    By the trained network of the package; without it, by profiles.
    """
    network = key_network()
    if network is None:
        scores = profile_scores(samples, sample_rate_hz)
    else:
        scores = network(pitch_registers(samples, sample_rate_hz)[None])[0]
    return dict(zip(KEYS, scores.tolist(), strict=True))


def profile_scores(samples: Samples, sample_rate_hz: int) -> Tensor:
    """Log probabilities [24], in the order of KEYS, by nothing but how much of each pitch class
    there is.
    """
    heights = (pitch_profile(samples, sample_rate_hz) + _RARE).log()
    profiles = [torch.tensor(_PROFILES[mode]).roll(tonic) for tonic, mode in KEYS]
    return (torch.stack(profiles) @ heights).log_softmax(0)


def pitch_profile(samples: Samples, sample_rate_hz: int) -> Tensor:
    """How much of the sound each pitch class has [12]; the sum is 1, or 0 for silence."""
    audio = heard(samples, sample_rate_hz)
    window = torch.hann_window(_N_FFT)
    size = torch.stft(audio, _N_FFT, _HOP, window=window, return_complex=True).abs() / _N_FFT
    low, high, weight = _semitones()
    heights = torch.zeros(12, size.shape[1])
    for pitch, first, last, share in zip(_PITCHES, low, high, weight, strict=True):
        heights[pitch % 12] += share * size[first:last].amax(0)
    # Every moment counts alike, however loud.
    return (heights / heights.sum(0).clamp(min=1e-6)).mean(1)


def parse_key(name: str) -> Key:
    """ "F# minor" to (6, "minor"). Raises InputError for what is not a key."""
    tonic, _, mode = name.partition(" ")
    letter, accidental = tonic[:1], tonic[1:]
    if letter not in _NATURALS or accidental not in _ACCIDENTALS or mode not in _PROFILES:
        raise InputError("key", name, 'give a tonic and a mode: "C major", "F# minor"')
    pitch_class = (_NATURALS[letter] + _ACCIDENTALS[accidental]) % 12
    return pitch_class, "major" if mode == "major" else "minor"


def same_scale(one: Key, other: Key) -> bool:
    """Whether the keys are equal or relative: A minor has the notes of C major."""
    return _relative_major(one) == _relative_major(other)


def _relative_major(key: Key) -> int:
    tonic, mode = key
    return (tonic + 3) % 12 if mode == "minor" else tonic


@cache
def _semitones() -> tuple[list[int], list[int], list[float]]:
    """First bin, end bin and weight of each of _PITCHES."""
    bin_hz = RATE_HZ / _N_FFT
    edges = [440 * 2 ** ((pitch - 69.5) / 12) / bin_hz for pitch in [*_PITCHES, _PITCHES.stop]]
    # Low semitones are narrower than a bin: they take the nearest one.
    low = [round(edge) for edge in edges[:-1]]
    high = [max(round(edge), first + 1) for edge, first in zip(edges[1:], low, strict=True)]
    distance = (torch.tensor(_PITCHES) - _CENTRE_PITCH) / _PITCH_WIDTH
    return low, high, torch.exp(-0.5 * distance.square()).tolist()
