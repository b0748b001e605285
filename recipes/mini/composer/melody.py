"""The lead: a motif and its variations, in periods that open on a half cadence and then close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from recipes.mini.composer.harmony import Chord, ladder
from recipes.mini.composer.patterns import Strike, strikes

PHRASE_BARS = 4
Line = list[list[tuple[Strike, int]]]  # bars of (strike, pitch)

_RANGE = 9  # semitones each side of the centre
# Steps along the scale from note to note: small ones sing.
_STEPS = (-3, -2, -1, -1, 0, 1, 1, 2, 3)
_SHIFTS = (-2, -1, 1, 2)
_VARIATIONS = ("sequence", "tail", "ornament")
_LONGEST_TIE_STEPS = 4


@dataclass(frozen=True)
class Motif:
    """A one-bar rhythm, how the line moves through it in scale steps, and where it starts."""

    strikes: tuple[Strike, ...]
    contour: tuple[int, ...]
    shift: int = 0


@dataclass(frozen=True)
class Singer:
    """Where a lead sings: around the pitch `centre`, at home on the pitch class `tonic`."""

    centre: int
    tonic: int
    steps_per_bar: int


def draw_motif(rng: np.random.Generator, patterns: Sequence[str]) -> Motif:
    """A motif in one of the rhythms."""
    rhythm = tuple(strikes(str(rng.choice(patterns))))
    return Motif(rhythm, tuple(int(rng.choice(_STEPS)) for _ in rhythm))


def vary(rng: np.random.Generator, motif: Motif) -> Motif:
    """The motif moved along the scale, with its second half turned over, or with an ornament."""
    kind = str(rng.choice(_VARIATIONS))
    if kind == "sequence":
        return replace(motif, shift=int(rng.choice(_SHIFTS)))
    if kind == "tail":
        half = len(motif.contour) // 2
        turned = tuple(-move for move in motif.contour[half:])
        return replace(motif, contour=motif.contour[:half] + turned)
    return _ornamented(motif)


def phrase(
    motifs: tuple[Motif, Motif], chords: Sequence[Chord], singer: Singer, closes: bool
) -> Line:
    """Four bars: motif, variation, motif, cadence; one that closes ends on the tonic if it fits."""
    call, answer = motifs
    body = [
        _sing(motif, chord, singer)
        for motif, chord in zip((call, answer, call), chords[:-1], strict=True)
    ]
    return [*body, _cadence(call, chords[-1], singer, closes)]


def legato(line: Line) -> Line:
    """Every note held to the next one of its bar, if that is not far."""
    return [_tied(bar) for bar in line]


def _ornamented(motif: Motif) -> Motif:
    """The longest note goes up a step and back within its time."""
    longest = max(motif.strikes, key=lambda strike: strike.steps)
    if longest.steps < 3:
        return replace(motif, shift=1)
    at = motif.strikes.index(longest)
    split = (
        Strike(longest.step, 1, longest.symbol),
        Strike(longest.step + 1, 1, longest.symbol),
        Strike(longest.step + 2, longest.steps - 2, longest.symbol),
    )
    moves = (motif.contour[at], 1, -1)
    return replace(
        motif,
        strikes=motif.strikes[:at] + split + motif.strikes[at + 1 :],
        contour=motif.contour[:at] + moves + motif.contour[at + 1 :],
    )


def _sing(motif: Motif, chord: Chord, singer: Singer) -> list[tuple[Strike, int]]:
    """The motif on a chord; its first note and those on beats or long fall on chord tones."""
    scale, position = _start(chord, singer)
    position = _reflect(position + motif.shift, len(scale))
    line = []
    for index, (strike, move) in enumerate(zip(motif.strikes, motif.contour, strict=True)):
        position = _reflect(position + move, len(scale))
        if index == 0 or strike.step % 4 == 0 or strike.steps >= 4:
            position = _closest(scale, chord.tones[:3], position)
        line.append((strike, scale[position]))
    return line


def _cadence(motif: Motif, chord: Chord, singer: Singer, closes: bool) -> list[tuple[Strike, int]]:
    """The motif's first half, then a long note: the tonic to close, else another chord tone."""
    middle = singer.steps_per_bar // 8 * 4
    head = [s for s in motif.strikes if s.step < middle]
    cut = tuple(replace(s, steps=min(s.steps, middle - s.step)) for s in head)
    line = _sing(replace(motif, strikes=cut, contour=motif.contour[: len(cut)]), chord, singer)
    scale, start = _start(chord, singer)
    near = scale.index(line[-1][1]) if line else start
    resting = (singer.tonic,) if singer.tonic in chord.tones[:3] else chord.tones[:1]
    goal = resting if closes else chord.tones[1:3]
    last = Strike(middle, singer.steps_per_bar - middle, "x")
    return [*line, (last, scale[_closest(scale, goal, near)])]


def _tied(bar: list[tuple[Strike, int]]) -> list[tuple[Strike, int]]:
    ties = []
    for (strike, pitch), (following, _) in pairwise(bar):
        gap = following.step - strike.step
        steps = gap if gap - strike.steps <= _LONGEST_TIE_STEPS else strike.steps
        ties.append((replace(strike, steps=steps), pitch))
    return ties + bar[-1:]


def _start(chord: Chord, singer: Singer) -> tuple[list[int], int]:
    """The singer's scale over the chord and the index of the chord tone at its middle."""
    scale = ladder(chord.scale, singer.centre - _RANGE, singer.centre + _RANGE)
    middle = scale.index(min(scale, key=lambda pitch: abs(pitch - singer.centre)))
    return scale, _closest(scale, chord.tones[:3], middle)


def _closest(scale: Sequence[int], tones: Sequence[int], position: int) -> int:
    """The index nearest to `position` whose pitch class is one of `tones`."""
    candidates = [i for i, pitch in enumerate(scale) if pitch % 12 in tones]
    return min(candidates, key=lambda i: abs(i - position))


def _reflect(position: int, size: int) -> int:
    """Fold back from the ends of the range."""
    if position < 0:
        return -position
    return min(position, 2 * (size - 1) - position)
