"""Estimate the key of audio, and convert keys to names."""

from __future__ import annotations

from typing import Literal

from toccata.analysis.classifier_weights import key_classifier
from toccata.analysis.pitch_registers import pitch_registers
from toccata.analysis.spectrum import Samples
from toccata.errors import InputError

Mode = Literal["major", "minor"]
Key = tuple[int, Mode]
"""The pitch class of the tonic, C being 0, and the mode."""
MODES: tuple[Mode, Mode] = ("major", "minor")
KEYS: tuple[Key, ...] = tuple((tonic, mode) for mode in MODES for tonic in range(12))

_NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "b": -1}
# Tonics as musicians spell them: by the fewest accidentals in the signature.
_TONICS = {
    "major": ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"),
    "minor": ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"),
}


def estimate_key(samples: Samples, sample_rate_hz: int) -> Key:
    """Estimate the key with the package's key classifier.

    Args:
        samples: [N] or [C, N].
        sample_rate_hz: Their rate.

    Raises:
        CheckpointError: The classifier's weights are missing or damaged.
    """
    scores = key_classifier()(pitch_registers(samples, sample_rate_hz)[None])
    return KEYS[int(scores.argmax())]


def parse_key(name: str) -> Key:
    """Parse a key's name: "F# minor" to (6, "minor").

    Raises:
        InputError: The name is not a key.
    """
    tonic, _, mode = name.partition(" ")
    letter, accidental = tonic[:1], tonic[1:]
    if letter not in _NATURALS or accidental not in _ACCIDENTALS or mode not in MODES:
        raise InputError("key", name, 'give a tonic and a mode: "C major", "F# minor"')
    pitch_class = (_NATURALS[letter] + _ACCIDENTALS[accidental]) % 12
    return pitch_class, "major" if mode == "major" else "minor"


def key_name(key: Key) -> str:
    """Name a key so that `parse_key` reads it: (6, "minor") to "F# minor"."""
    tonic, mode = key
    return f"{_TONICS[mode][tonic]} {mode}"


def same_scale(one: Key, other: Key) -> bool:
    """Whether the keys are equal or relative: A minor has the notes of C major."""
    return _relative_major(one) == _relative_major(other)


def _relative_major(key: Key) -> int:
    tonic, mode = key
    return (tonic + 3) % 12 if mode == "minor" else tonic
