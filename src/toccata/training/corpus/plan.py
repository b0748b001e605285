"""Everything about a song that is decided by chance, drawn once and in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from toccata.training.corpus.genres import DrumPattern, Genre, all_genres
from toccata.training.corpus.harmony import Chord, Key
from toccata.training.corpus.instruments import INSTRUMENTS
from toccata.training.corpus.melody import phrase
from toccata.training.corpus.patterns import Strike
from toccata.training.corpus.song import BASS, CHORDS, LEAD, PAD, Grid

T = TypeVar("T")
Line = list[list[tuple[Strike, int]]]  # bars of (strike, pitch)

_DRUMS_ONLY_SHARE = 0.04


@dataclass(frozen=True)
class Plan:
    """The decisions; `lines` are the melodies of sections A and B, empty without a lead."""

    genre: Genre
    key: Key
    grid: Grid
    mood: str
    instruments: Mapping[int, str]  # channel -> instrument name
    kit: str  # "" without drums
    chords: tuple[Chord, ...]
    chord_pattern: str
    bass_pattern: str
    drum_pattern: DrumPattern
    fill: DrumPattern
    lines: tuple[Line, ...]
    lead_enters_bar: int


def draw_plan(rng: np.random.Generator) -> Plan:
    """A plan; the generator is used for nothing else afterwards."""
    genre = _one(rng, all_genres())
    key = Key(int(rng.integers(12)), bool(rng.random() < genre.minor_share))
    grid = Grid(int(rng.integers(genre.bpm[0], genre.bpm[1] + 1)), genre.beats_per_bar, genre.swing)
    symbols = _one(rng, genre.minor_chords if key.minor else genre.major_chords).split()
    chords = tuple(key.chord(symbol, genre.sevenths, genre.pentatonic) for symbol in symbols)
    kit, instruments = _draw_band(rng, genre)
    return Plan(
        genre=genre,
        key=key,
        grid=grid,
        mood=_one(rng, genre.minor_moods if key.minor else genre.major_moods),
        instruments=instruments,
        kit=kit,
        chords=chords,
        chord_pattern=_one(rng, genre.chord_patterns),
        bass_pattern=_one(rng, genre.bass_patterns) if genre.bass_patterns else "",
        drum_pattern=_one(rng, genre.drum_patterns) if genre.drum_patterns else {},
        fill=_one(rng, genre.fills) if genre.fills else {},
        lines=_draw_lines(rng, genre, chords, instruments),
        lead_enters_bar=int(rng.choice((0, 0, 0, 0, 0, 1))),
    )


def _draw_band(rng: np.random.Generator, genre: Genre) -> tuple[str, dict[int, str]]:
    """The kit and who plays on which channel."""
    with_drums = rng.random() < genre.drum_share
    kit = _one(rng, genre.kits) if with_drums else ""
    if with_drums and rng.random() < _DRUMS_ONLY_SHARE:
        return kit, {}
    if not with_drums and rng.random() < genre.solo_share:
        soloist = _one(rng, genre.solo_instruments)
        return kit, {LEAD: soloist, CHORDS: soloist, BASS: soloist}
    band = {CHORDS: _one(rng, genre.chord_instruments)}
    if rng.random() < genre.lead_share:
        band[LEAD] = _one(rng, genre.lead_instruments)
    if genre.bass_instruments and rng.random() < (0.95 if with_drums else 0.55):
        band[BASS] = _one(rng, genre.bass_instruments)
    if rng.random() < genre.pad_share:
        band[PAD] = _one(rng, genre.pad_instruments)
    return kit, band


def _draw_lines(
    rng: np.random.Generator, genre: Genre, chords: Sequence[Chord], band: Mapping[int, str]
) -> tuple[Line, ...]:
    if LEAD not in band:
        return ()
    centre = INSTRUMENTS[band[LEAD]].lead
    return tuple(phrase(rng, genre.lead_patterns, chords, centre) for _ in "AB")


def _one(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]
