"""The pattern notation: one character per sixteenth.

"." is silence, "-" holds what sounds, spaces are for the eye, anything else strikes:
drums    "X" accent, "x" normal, "o" ghost, "r" two quick strikes within the step
chords   "x" the whole chord, "0".."9" one of its tones counted from below
bass     "1" root, "3" third, "5" fifth, "6" sixth, "8" octave, ">" a step below the next root
melody   "x"
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Strike:
    """A struck symbol; `step` and `steps` count sixteenths."""

    step: int
    steps: int
    symbol: str


def strikes(pattern: str) -> Iterator[Strike]:
    """Every strike of a pattern with how long it is held."""
    for step, symbol in enumerate(pattern):
        if symbol in ".-":
            continue
        held = 1
        while step + held < len(pattern) and pattern[step + held] == "-":
            held += 1
        yield Strike(step, held, symbol)


def bar_of(pattern: str, bar: int, steps_per_bar: int) -> str:
    """The part of a one- or two-bar pattern that is played in `bar`."""
    dense = pattern.replace(" ", "")
    start = bar * steps_per_bar % len(dense)
    return dense[start : start + steps_per_bar]


def by_density(patterns: tuple[str, ...], density: int) -> tuple[str, ...]:
    """The sparser half of the patterns for -1, the denser half for 1, all for 0."""
    ordered = sorted(patterns, key=lambda pattern: sum(1 for _ in strikes(pattern)))
    half = (len(ordered) + 1) // 2
    return {-1: tuple(ordered[:half]), 0: patterns, 1: tuple(ordered[-half:])}[density]
