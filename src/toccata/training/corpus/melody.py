"""The lead: a call and its answer, moved through the chords and repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toccata.training.corpus.harmony import Chord, ladder
from toccata.training.corpus.patterns import Strike, strikes

PHRASE_BARS = 4
_RANGE = 9  # semitones each side of the centre
# Steps along the scale from note to note: small ones sing.
_STEPS = (-3, -2, -1, -1, 0, 1, 1, 2, 3)


@dataclass(frozen=True)
class Motif:
    """A one-bar rhythm and how the line moves through it, in scale steps."""

    strikes: tuple[Strike, ...]
    contour: tuple[int, ...]


def phrase(
    rng: np.random.Generator, patterns: Sequence[str], chords: Sequence[Chord], centre: int
) -> list[list[tuple[Strike, int]]]:
    """Four bars of (strike, pitch): call, answer, call again on its new chord, close."""
    call = _motif(rng, str(rng.choice(patterns)))
    answer = _motif(rng, str(rng.choice(patterns)))
    last = len(chords) - 1
    return [
        _sing(motif, chord, centre, closes=bar == last)
        for bar, (motif, chord) in enumerate(zip((call, answer, call, answer), chords, strict=True))
    ]


def _motif(rng: np.random.Generator, pattern: str) -> Motif:
    rhythm = tuple(strikes(pattern))
    return Motif(rhythm, tuple(int(rng.choice(_STEPS)) for _ in rhythm))


def _sing(motif: Motif, chord: Chord, centre: int, closes: bool) -> list[tuple[Strike, int]]:
    """The motif on a chord; strong and long notes fall on its tones, a close ends on its root."""
    scale = ladder(chord.scale, centre - _RANGE, centre + _RANGE)
    middle = scale.index(min(scale, key=lambda pitch: abs(pitch - centre)))
    position = _closest(scale, chord.tones[:3], middle)
    line = []
    for strike, move in zip(motif.strikes, motif.contour, strict=True):
        position = _reflect(position + move, len(scale))
        if closes and strike is motif.strikes[-1]:
            position = _closest(scale, (chord.root,), position)
        elif strike.step % 4 == 0 or strike.steps >= 4:
            position = _closest(scale, chord.tones, position)
        line.append((strike, scale[position]))
    return line


def _closest(scale: Sequence[int], tones: Sequence[int], position: int) -> int:
    """The index nearest to `position` whose pitch class is one of `tones`."""
    candidates = [i for i, pitch in enumerate(scale) if pitch % 12 in tones]
    return min(candidates, key=lambda i: abs(i - position))


def _reflect(position: int, size: int) -> int:
    """Fold back from the ends of the range."""
    if position < 0:
        return -position
    return min(position, 2 * (size - 1) - position)
