from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.mini.composer.compose import compose
from recipes.mini.composer.composition import BASS, DRUMS, LEAD, Composition, Grid, Note
from recipes.mini.composer.genres import Genre, all_genres
from recipes.mini.composer.harmony import MAJOR, MINOR, VOICINGS, Key
from recipes.mini.composer.instruments import FAMILIES, INSTRUMENTS, KITS, STROKES
from recipes.mini.composer.moods import MOODS
from recipes.mini.composer.plan import draw_plan
from toccata.analysis.key import parse_key
from toccata.errors import InputError

SONGS = [compose(seed, 8.0) for seed in range(240)]
SEEDS = st.integers(0, 2 * 10**9)
few = settings(max_examples=25, deadline=None)


@few
@given(SEEDS)
def test_same_seed_same_song(seed: int) -> None:
    assert compose(seed, 8.0) == compose(seed, 8.0)


@few
@given(SEEDS)
def test_a_longer_song_begins_like_the_shorter(seed: int) -> None:
    short, long = compose(seed, 12.0), compose(seed, 18.0)
    # One song in ten ends, in the last two bars that fit.
    same = short.frames - 3 * _bar_frames(short)
    assert _until(short, same) == _until(long, same)


def test_most_songs_are_cut_and_some_end() -> None:
    changed = []
    for seed in range(120):
        short, long = compose(seed, 12.0), compose(seed, 14.0)
        changed.append(short.notes != _until(long, short.frames))
    assert 0.02 < np.mean(changed) < 0.2


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
    steps = {grid.frame(bar, step) for bar in range(40) for step in range(grid.steps_per_bar)}
    feel = {step + shift for step in steps for shift in (-1, 0, 1)}
    assert {n.start_frame for n in song.notes if n.channel != DRUMS} <= feel
    assert {n.start_frame for n in song.notes if n.pitch == STROKES["kick"]} <= steps
    assert 60 <= song.facts.bpm <= 176


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


def _until(song: Composition, frame: int) -> tuple[Note, ...]:
    return tuple(note for note in song.notes if note.start_frame < frame)


def _bar_frames(song: Composition) -> int:
    return Grid(song.facts.bpm, _genre(song).beats_per_bar, "straight").frame(1, 0)


def _pitch_classes(name: str) -> set[int]:
    key = next(k for t in range(12) for m in (True, False) if (k := Key(t, m)).name == name)
    others = (11,) if key.minor else (3,)  # the leading tone; the blue third
    return {(key.tonic + s) % 12 for s in (MINOR if key.minor else MAJOR) + others}


def _genre(song: Composition) -> Genre:
    return next(genre for genre in all_genres() if genre.name == song.facts.genre)


def test_all_genres_and_about_a_quarter_without_drums() -> None:
    facts = [song.facts for song in SONGS]
    assert {f.genre for f in facts} == {genre.name for genre in all_genres()}
    assert 0.2 < np.mean([not f.drums for f in facts]) < 0.35
    assert np.mean([not f.instruments for f in facts]) <= 0.04


def test_most_songs_have_a_lead() -> None:
    assert 0.72 < np.mean([LEAD in song.programs for song in SONGS]) < 0.9


def test_all_tonics_are_played() -> None:
    tonics = Counter(parse_key(song.facts.key)[0] for song in SONGS if song.facts.key)
    assert len(tonics) == 12
    assert max(tonics.values()) < 0.15 * len(SONGS)


def test_the_bass_opens_on_the_tonic() -> None:
    for song in SONGS:
        bass = [n for n in song.notes if n.channel == BASS]
        if bass:
            assert bass[0].pitch % 12 == parse_key(song.facts.key)[0]


def test_an_ending_rests_on_the_tonic() -> None:
    ending = [seed for seed in range(100) if draw_plan(_rng(seed)).arrangement.ends]
    assert ending
    for seed in ending:
        song = compose(seed, 20.0)
        last = [n for n in song.notes if n.start_frame == _last_start(song)]
        low = min(n.pitch for n in last if n.channel != DRUMS)
        triad = {(parse_key(song.facts.key)[0] + step) % 12 for step in (0, 3, 4, 7)}
        assert low % 12 in triad


def test_leads_stay_near_their_register() -> None:
    for song in SONGS:
        for note in song.notes:
            centre = INSTRUMENTS[song.facts.instruments[0]].lead if note.channel == LEAD else 0
            assert note.channel != LEAD or abs(note.pitch - centre) <= 16


def _last_start(song: Composition) -> int:
    return max(n.start_frame for n in song.notes if n.channel not in (LEAD, DRUMS))


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.mark.parametrize("genre", all_genres(), ids=lambda genre: genre.name)
def test_tables_are_whole(genre: Genre) -> None:
    steps = 4 * genre.beats_per_bar
    assert 4 <= len(genre.words) <= 6
    assert {*genre.major_moods, *genre.minor_moods} <= MOODS.keys()
    patterns = [*genre.chord_patterns, *genre.lead_patterns, *genre.bass_patterns]
    patterns += [p for drums in genre.drum_patterns for p in drums.values()]
    assert all(len(p.replace(" ", "")) in (steps, 2 * steps) for p in patterns)
    assert {len(p) for fill in genre.fills for p in fill.values()} <= {4, 8}
    assert all(pattern[0] == "1" for pattern in genre.bass_patterns)
    for chords in genre.major_chords + genre.minor_chords:
        assert len(chords.split()) in (4, 8, 12)
        assert chords[0] == "1"
        # The tonic and its dominant alone leave open which of the two is home.
        assert {chord[0] for chord in chords.split()[:4]} != {"1", "5"} or len(chords.split()) > 8
    assert {*genre.chord_instruments, *genre.lead_instruments} <= INSTRUMENTS.keys()
    assert {*genre.bass_instruments, *genre.pad_instruments} <= INSTRUMENTS.keys()
    assert {*genre.solo_instruments} <= INSTRUMENTS.keys()
    assert genre.voicing in VOICINGS
    assert set(genre.late) <= STROKES.keys()
    assert set(genre.kits) <= KITS.keys()
    assert {s for drums in genre.drum_patterns + genre.fills for s in drums} <= STROKES.keys()


def test_every_instrument_has_a_known_family_and_a_use() -> None:
    assert {instrument.family for instrument in INSTRUMENTS.values()} == set(FAMILIES)
    used = {
        name
        for genre in all_genres()
        for names in (
            genre.chord_instruments, genre.lead_instruments, genre.bass_instruments,
            genre.pad_instruments, genre.solo_instruments,
        )
        for name in names
    }  # fmt: skip
    assert used == INSTRUMENTS.keys()


@pytest.mark.parametrize(("seed", "duration_s"), [(-1, 8.0), (0, 0.0), (0, -3.0)])
def test_wrong_values_are_refused(seed: int, duration_s: float) -> None:
    with pytest.raises(InputError, match=r"seed|duration_s"):
        compose(seed, duration_s)
