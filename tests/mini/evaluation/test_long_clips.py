"""Minutes that stay music, and the ways in which they do not."""

from __future__ import annotations

import numpy as np
import pytest

from recipes.mini.evaluation.long_clips import (
    Likeness,
    Steadiness,
    falls_silent,
    faults,
    likeness,
    limits,
    steadiness,
    thirds_lufs,
)
from tests.mini.evaluation.sounds import RATE_HZ, Audio, chord, tune

SECONDS = 24


@pytest.fixture(scope="module")
def most() -> Likeness:
    return limits([tune(seed, SECONDS) for seed in range(4)])


@pytest.fixture(scope="module")
def music() -> Audio:
    return tune(1, SECONDS)


def test_music_is_steady(music: Audio, most: Likeness) -> None:
    found = steadiness(music, most)
    assert not found.silent
    assert abs(found.drift_lu) < 2
    assert likeness(music).still < likeness(chord(60, 64, 67, duration_s=12)).still


def test_a_hole_of_a_second_is_silence(music: Audio) -> None:
    assert not falls_silent(music)
    hole = music.copy()
    hole[5 * RATE_HZ : round(6.2 * RATE_HZ)] = 0
    assert falls_silent(hole)
    hole[round(5.4 * RATE_HZ) : round(5.6 * RATE_HZ)] = 0.1
    assert not falls_silent(hole)


def test_a_sound_that_stays_is_stuck(music: Audio, most: Likeness) -> None:
    held = music.copy()
    held[8 * RATE_HZ : 20 * RATE_HZ] = chord(60, 64, 67, duration_s=12)
    assert steadiness(held, most).looping


def test_a_second_over_and_over_is_stuck(music: Audio, most: Likeness) -> None:
    looped = music.copy()
    looped[8 * RATE_HZ : 20 * RATE_HZ] = np.tile(music[8 * RATE_HZ : 9 * RATE_HZ], 12)
    assert steadiness(looped, most).looping


def test_what_grows_louder_drifts(music: Audio, most: Likeness) -> None:
    louder = music * np.linspace(0.3, 1.0, len(music), dtype=np.float32)
    found = steadiness(louder, most)
    first, last = thirds_lufs(louder)
    assert found.drift_lu == pytest.approx(last - first, abs=1e-3)
    assert found.drift_lu > 2
    assert not found.steady


def test_silence_is_nothing_steady(most: Likeness) -> None:
    found = steadiness(np.zeros(SECONDS * RATE_HZ, np.float32), most)
    assert found.silent
    assert not found.steady


def test_faults_are_counted() -> None:
    clips = [Steadiness(False, False, 0.5), Steadiness(True, False, -3.0)]
    assert faults(clips) == {
        "silent": 0.5, "looping": 0.0, "drifting": 0.5, "median_drift_lu": 1.75,
    }  # fmt: skip
