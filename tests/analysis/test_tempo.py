"""The tempo and the bars of sounds whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from toccata.analysis.tempo import estimate_bpm, find_pulse, tempo_agrees

RATE_HZ = 32_000
Audio = NDArray[np.float32]


def clicks(bpm: float, duration_s: float = 8.0, first_s: float = 0.0) -> Audio:
    audio = np.zeros(round(duration_s * RATE_HZ), np.float32)
    rng = np.random.default_rng(0)
    burst = (rng.standard_normal(640) * np.linspace(1, 0, 640)).astype(np.float32)
    for beat in np.arange(first_s, duration_s - 0.1, 60 / bpm):
        start = round(beat * RATE_HZ)
        audio[start : start + 640] += burst
    return audio


@settings(max_examples=12)
@given(bpm=st.integers(60, 170))
def test_the_tempo_of_clicks_is_heard(bpm: int) -> None:
    assert tempo_agrees(bpm, estimate_bpm(clicks(bpm), RATE_HZ))


def test_silence_has_no_tempo() -> None:
    assert estimate_bpm(np.zeros(RATE_HZ, np.float32), RATE_HZ) == 0.0


@pytest.mark.parametrize(
    ("heard_bpm", "agrees"), [(100, True), (103, True), (106, False), (200, True), (150, False)]
)
def test_octaves_are_forgiven_and_nothing_else(heard_bpm: float, agrees: bool) -> None:
    assert tempo_agrees(100, heard_bpm) is agrees


@settings(max_examples=12)
@given(bpm=st.integers(60, 170), share=st.floats(0, 0.95))
def test_the_beats_are_where_the_clicks_are(bpm: int, share: float) -> None:
    beat_s = 60 / bpm
    audio = clicks(bpm, first_s=share * beat_s)
    pulse = find_pulse(audio, RATE_HZ, bpm)
    assert pulse is not None
    assert pulse.bpm == bpm
    apart = abs(pulse.beat_s - share * beat_s)
    assert min(apart, beat_s - apart) < 0.02


def test_the_pulse_has_the_tempo_that_is_heard() -> None:
    audio = clicks(93, duration_s=4.0)
    pulse = find_pulse(audio, RATE_HZ)
    assert pulse is not None
    assert pulse.bpm == estimate_bpm(audio, RATE_HZ)
    assert tempo_agrees(93, pulse.bpm)


def test_silence_has_no_pulse() -> None:
    assert find_pulse(np.zeros(RATE_HZ, np.float32), RATE_HZ) is None
