"""Everything about a song that is decided by chance, drawn once and in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from recipes.mini.composer.arrangement import Arrangement, draw_arrangement
from recipes.mini.composer.band import draw_band
from recipes.mini.composer.composition import LEAD, Grid
from recipes.mini.composer.form import Phrase, draw_form
from recipes.mini.composer.genres import DrumPattern, Genre, all_genres
from recipes.mini.composer.harmony import Key
from recipes.mini.composer.moods import MOODS, Shape
from recipes.mini.composer.patterns import by_density

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """The decisions; `form` is repeated from the end of the intro on."""

    genre: Genre
    key: Key
    grid: Grid
    mood: str
    instruments: Mapping[int, str]  # channel -> instrument name
    kit: str  # "" without drums
    form: tuple[Phrase, ...]
    chord_pattern: str
    bass_pattern: str
    drum_pattern: DrumPattern
    fill: DrumPattern
    arrangement: Arrangement

    @property
    def shape(self) -> Shape:
        return MOODS[self.mood]


def draw_plan(rng: np.random.Generator) -> Plan:
    """A plan; the generator is used for nothing else afterwards."""
    genre = _one(rng, all_genres())
    key = Key(int(rng.integers(12)), bool(rng.random() < genre.minor_share))
    mood = _one(rng, genre.minor_moods if key.minor else genre.major_moods)
    shape = MOODS[mood]
    kit, instruments = draw_band(rng, genre)
    return Plan(
        genre=genre,
        key=key,
        grid=Grid(_draw_bpm(rng, genre, shape), genre.beats_per_bar, genre.swing),
        mood=mood,
        instruments=instruments,
        kit=kit,
        form=draw_form(rng, genre, key, mood, instruments.get(LEAD)),
        chord_pattern=_one(rng, by_density(genre.chord_patterns, shape.density)),
        bass_pattern=_one(rng, genre.bass_patterns) if genre.bass_patterns else "",
        drum_pattern=_one(rng, genre.drum_patterns) if genre.drum_patterns else {},
        fill=_one(rng, genre.fills) if genre.fills else {},
        arrangement=draw_arrangement(rng, genre, bool(kit), instruments),
    )


def _draw_bpm(rng: np.random.Generator, genre: Genre, shape: Shape) -> int:
    """A tempo of the genre, from the half that the mood asks for."""
    low, high = genre.bpm
    middle = (low + high) // 2
    low, high = {-1: (low, middle), 0: (low, high), 1: (middle, high)}[shape.tempo]
    return int(rng.integers(low, high + 1))


def _one(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]
