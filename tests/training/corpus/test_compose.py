from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toccata.errors import InputError
from toccata.training.corpus.compose import compose
from toccata.training.corpus.genres import Genre, all_genres
from toccata.training.corpus.harmony import MAJOR, MINOR, Key
from toccata.training.corpus.instruments import INSTRUMENTS, KITS, STROKES
from toccata.training.corpus.song import DRUMS, Grid, Song

SEEDS = st.integers(0, 2 * 10**9)
few = settings(max_examples=40, deadline=None)


@few
@given(SEEDS)
def test_same_seed_same_song(seed: int) -> None:
    assert compose(seed, 8.0) == compose(seed, 8.0)


@few
@given(SEEDS)
def test_a_longer_song_begins_like_the_shorter(seed: int) -> None:
    short, long = compose(seed, 4.0), compose(seed, 9.0)
    assert short.notes == tuple(n for n in long.notes if n.start_frame < short.frames)


@few
@given(SEEDS)
def test_notes_lie_within_the_clip_and_start_at_once(seed: int) -> None:
    song = compose(seed, 6.0)
    assert song.frames == 300
    assert all(0 <= n.start_frame < 300 and n.frames > 0 for n in song.notes)
    assert all(0 < n.pitch < 128 and 0 < n.velocity < 128 for n in song.notes)
    # A tune without drums may begin with a rest; in 2500 songs the longest was 1.7 beats.
    assert min(n.start_frame for n in song.notes) <= 2 * 3000 / song.facts.bpm


@few
@given(SEEDS)
def test_onsets_follow_the_tempo(seed: int) -> None:
    song = compose(seed, 10.0)
    genre = _genre(song)
    grid = Grid(song.facts.bpm, genre.beats_per_bar, genre.swing)
    steps = {grid.frame(bar, step) for bar in range(20) for step in range(grid.steps_per_bar)}
    assert {n.start_frame for n in song.notes} <= steps
    assert 60 <= song.facts.bpm <= 168


@few
@given(SEEDS)
def test_facts_are_true_of_the_notes(seed: int) -> None:
    song = compose(seed, 8.0)
    facts, channels = song.facts, {n.channel for n in song.notes}
    assert facts.drums == (DRUMS in channels) == bool(facts.kit)
    assert set(song.programs) == channels
    playing = {p for channel, p in song.programs.items() if channel != DRUMS}
    assert {INSTRUMENTS[name].program for name in facts.instruments} == playing
    assert bool(facts.key) == bool(facts.instruments)


@few
@given(SEEDS)
def test_pitches_belong_to_the_key(seed: int) -> None:
    song = compose(seed, 8.0)
    if not song.facts.key:
        return
    allowed = _pitch_classes(song.facts.key)
    assert {n.pitch % 12 for n in song.notes if n.channel != DRUMS} <= allowed


def _pitch_classes(name: str) -> set[int]:
    key = next(k for t in range(12) for m in (True, False) if (k := Key(t, m)).name == name)
    raised_seventh = (11,) if key.minor else ()
    return {(key.tonic + s) % 12 for s in (MINOR if key.minor else MAJOR) + raised_seventh}


def _genre(song: Song) -> Genre:
    return next(genre for genre in all_genres() if genre.name == song.facts.genre)


def test_all_genres_and_about_a_third_without_drums() -> None:
    facts = [compose(seed, 2.0).facts for seed in range(400)]
    assert {f.genre for f in facts} == {genre.name for genre in all_genres()}
    assert 0.28 < np.mean([not f.drums for f in facts]) < 0.42


@pytest.mark.parametrize("genre", all_genres(), ids=lambda genre: genre.name)
def test_tables_are_whole(genre: Genre) -> None:
    steps = 4 * genre.beats_per_bar
    patterns = [*genre.chord_patterns, *genre.lead_patterns, *genre.bass_patterns]
    patterns += [p for drums in genre.drum_patterns for p in drums.values()]
    assert all(len(p.replace(" ", "")) in (steps, 2 * steps) for p in patterns)
    assert all(len(c.split()) == 4 for c in genre.major_chords + genre.minor_chords)
    assert {*genre.chord_instruments, *genre.lead_instruments} <= INSTRUMENTS.keys()
    assert {*genre.bass_instruments, *genre.pad_instruments} <= INSTRUMENTS.keys()
    assert set(genre.kits) <= KITS.keys()
    assert {s for drums in genre.drum_patterns + genre.fills for s in drums} <= STROKES.keys()


@pytest.mark.parametrize(("seed", "duration_s"), [(-1, 8.0), (0, 0.0), (0, -3.0)])
def test_wrong_values_are_refused(seed: int, duration_s: float) -> None:
    with pytest.raises(InputError, match=r"seed|duration_s"):
        compose(seed, duration_s)
