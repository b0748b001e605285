"""The form of a song: phrases of four bars, A A' B A' or the twelve bars of the blues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recipes.mini.composer.genres import Genre
from recipes.mini.composer.harmony import Chord, Key
from recipes.mini.composer.instruments import INSTRUMENTS
from recipes.mini.composer.melody import PHRASE_BARS, Line, Singer, draw_motif, legato, phrase, vary
from recipes.mini.composer.moods import MOODS
from recipes.mini.composer.patterns import by_density

_OTHER_CHORDS_SHARE = 0.5


@dataclass(frozen=True)
class Phrase:
    """Four bars; `line` is the melody, empty without a lead."""

    chords: tuple[Chord, ...]
    line: Line


def draw_form(
    rng: np.random.Generator, genre: Genre, key: Key, mood: str, lead: str | None
) -> tuple[Phrase, ...]:
    """The phrases of one round of the form, sung by the instrument `lead`."""
    groups = _draw_chords(rng, genre, key)
    if lead is None:
        return tuple(Phrase(chords, []) for chords in groups)
    shape = MOODS[mood]
    singer = Singer(INSTRUMENTS[lead].lead + shape.register, key.tonic, 4 * genre.beats_per_bar)
    patterns = by_density(genre.lead_patterns, shape.density)
    first, second = draw_motif(rng, patterns), draw_motif(rng, patterns)
    main, other = (first, vary(rng, first)), (second, vary(rng, second))
    lines = [
        phrase(other if number == 2 else main, chords, singer, closes=number > 0)
        for number, chords in enumerate(groups)
    ]
    if shape.touch == "long":
        lines = [legato(line) for line in lines]
    return tuple(Phrase(chords, line) for chords, line in zip(groups, lines, strict=True))


def _draw_chords(rng: np.random.Generator, genre: Genre, key: Key) -> list[tuple[Chord, ...]]:
    """The chords of every phrase; now and then B has a progression of its own."""
    choices = genre.minor_chords if key.minor else genre.major_chords
    main, other = _groups(genre, key, _one(rng, choices)), _groups(genre, key, _one(rng, choices))
    if len(main) == 3:
        return main
    bridge = other[-1] if rng.random() < _OTHER_CHORDS_SHARE else main[0]
    return [main[0], main[-1], bridge, main[-1]]


def _groups(genre: Genre, key: Key, symbols: str) -> list[tuple[Chord, ...]]:
    chords = [key.chord(symbol, genre.sevenths, genre.pentatonic) for symbol in symbols.split()]
    return [tuple(chords[i : i + PHRASE_BARS]) for i in range(0, len(chords), PHRASE_BARS)]


def _one(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
