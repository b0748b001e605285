"""Clips that go as their references go, and those that do not."""

from __future__ import annotations

import numpy as np
import pytest

from toccata.audio.waveform import Waveform
from toccata.evaluation.agreement import agreement, analyze

RATE_HZ = 32_000


def chords(*roots: int, bpm: float, gain: float = 0.2) -> Waveform:
    """A major triad on each root, struck on every beat."""
    beat = np.arange(round(RATE_HZ * 60 / bpm)) / RATE_HZ
    fall = np.exp(-8 * beat)
    struck = [
        fall
        * sum(np.sin(2 * np.pi * 440 * 2 ** ((root + up - 69) / 12) * beat) for up in (0, 4, 7))
        for root in roots
    ]
    return Waveform(np.asarray(gain * np.concatenate(struck * 3)[None], np.float32), RATE_HZ)


C = chords(60, 65, 67, 60, bpm=100)
FSHARP = chords(66, 71, 73, 66, bpm=140)


def test_the_same_music_agrees_in_everything() -> None:
    heard = [analyze(C), analyze(FSHARP)]
    found = agreement(heard, heard)
    assert (found.pairs, found.tempo, found.key, found.key_exact, found.chroma) == (2, 1, 1, 1, 1)
    assert found.loudness_difference_db == 0
    assert found.by_chance["tempo"] == found.by_chance["key"] == 0
    assert found.by_chance["chroma"] < 0.5


def test_other_music_does_not() -> None:
    found = agreement([analyze(FSHARP)], [analyze(C)])
    assert (found.tempo, found.key, found.key_exact) == (0, 0, 0)
    assert found.by_chance == {}


def test_loudness_is_told_in_decibels_and_silence_is_left_out() -> None:
    softer = analyze(chords(60, 65, 67, 60, bpm=100, gain=0.1))
    silence = analyze(Waveform(np.zeros((1, RATE_HZ), np.float32), RATE_HZ))
    found = agreement([softer, silence], [analyze(C), analyze(C)])
    assert found.loudness_difference_db == pytest.approx(6.02, abs=0.05)
    assert agreement([silence], [silence]).loudness_difference_db is None
    assert agreement([silence], [silence]).tempo == 1
