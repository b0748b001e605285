"""A named tempo becomes a metronome on the codec's frames."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recipes.mini.composer.composition import Grid
from toccata.conditioners.beats import FEATURES, PERIODS, Beats, beat_rows, named_beats

STARTS = slice(1 + 2 * len(PERIODS), FEATURES)
BEAT = PERIODS.index(1.0)


@pytest.mark.parametrize(
    ("prompt", "bpm"),
    [
        ("lo-fi beat, 80 bpm, mellow piano", 80),
        ("Techno at 128BPM.", 128),
        ("slow piano, tempo 62", 62),
        ("Slow piano, tempo 62.", 62),
        ("jazz at a tempo of 140", 140),
        ("rock, BPM: 118, 4/4", 118),
        ("house, 124.5 bpm", 124.5),
        ("a waltz of 90 beats per minute", 90),
        ("from the 1980s, 90 bpm", 90),
    ],
)
def test_a_named_tempo_is_found(prompt: str, bpm: float) -> None:
    assert named_beats(prompt) == Beats(bpm)


@pytest.mark.parametrize(
    "prompt", [None, "", "happy 80s rock", "1999 bpm", "5 bpm", "symphony 40", "tempo rubato"]
)
def test_no_tempo_is_none(prompt: str | None) -> None:
    assert named_beats(prompt) is None


@given(st.integers(40, 200), st.integers(0, 400))
def test_beats_start_on_the_frames_the_corpus_puts_them_on(bpm: int, first: int) -> None:
    rows = beat_rows(Beats(bpm), first, 300, 50)
    assert rows.shape == (300, FEATURES)
    started = {first + int(i) for i in rows[:, STARTS][:, BEAT].nonzero()}
    grid = Grid(bpm, 4, "straight")
    beats = {grid.frame(bar, step) for bar in range(100) for step in (0, 4, 8, 12)}
    assert started == {frame for frame in beats if first <= frame < first + 300}


def test_later_windows_go_on_counting() -> None:
    whole = beat_rows(Beats(97), 0, 500, 50)
    assert torch.equal(whole[180:], beat_rows(Beats(97), 180, 320, 50))


def test_a_bar_may_start_anywhere() -> None:
    late = beat_rows(Beats(120, bar_s=0.4), 0, 100, 50)
    on_time = beat_rows(Beats(120), 0, 80, 50)
    torch.testing.assert_close(late[20:], on_time, atol=1e-5, rtol=0)
