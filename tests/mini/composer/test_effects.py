from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from recipes.mini.composer.composition import SAMPLE_RATE_HZ, Facts
from recipes.mini.composer.genres import all_genres
from recipes.mini.effects import dynamics, filters, levels, reverb
from recipes.mini.effects.chains import CHAINS, CHAINS_OF_GENRE, Chain, chain_name
from recipes.mini.effects.chorus import chorus
from recipes.mini.effects.studio import Studio, bar_samples

FACTS = Facts("folk", 100, "C major", "warm", ("piano",), drums=False, meter="4/4")


def _sine(hz: float, peak: float = 0.5, seconds: float = 1.0) -> NDArray[np.float32]:
    time_s = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (peak * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def _gain_db(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Once everything has settled."""
    half = before.size // 2
    return float(20 * np.log10(after[half:].std() / before[half:].std()))


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio()


@pytest.mark.parametrize(
    ("response", "hz", "gain_db"),
    [
        (filters.low_shelf(200, 6), 20, 6),
        (filters.low_shelf(200, 6), 200, 3),
        (filters.low_shelf(200, 6), 4000, 0),
        (filters.high_shelf(3000, -6), 12_000, -6),
        (filters.high_shelf(3000, -6), 3000, -3),
        (filters.high_shelf(3000, -6), 200, 0),
        (filters.low_pass(2000), 2000, -3),
        (filters.low_pass(2000), 100, 0),
        (filters.low_pass(2000), 8000, -28.2),
    ],
)
def test_filter_has_its_gain_at_a_frequency(
    response: filters.Response, hz: float, gain_db: float
) -> None:
    sine = _sine(hz)
    gain = _gain_db(sine, filters.apply(response, sine, filters.MEMORY))
    assert gain == pytest.approx(gain_db, abs=0.3)


def test_long_audio_is_filtered_without_seams() -> None:
    sine = _sine(440, seconds=9.0)
    flat = filters.low_shelf(200, 0.0)
    assert np.allclose(filters.apply(flat, sine, filters.MEMORY), sine, atol=1e-5)


@pytest.mark.parametrize(("ratio", "change_db"), [(1.0, 0.0), (2.0, -5.0), (4.0, -7.5)])
def test_compressor_lets_levels_rise_by_its_ratio(ratio: float, change_db: float) -> None:
    sine = _sine(1000, peak=10 ** (-10 / 20))
    pressed = dynamics.compress(sine, ratio, threshold_db=-20)
    assert _gain_db(sine, pressed) == pytest.approx(change_db, abs=0.2)


def test_compressor_leaves_what_is_below_its_knee() -> None:
    sine = _sine(1000, peak=0.05)
    assert np.array_equal(dynamics.compress(sine, 4.0, threshold_db=-20), sine)


def test_saturation_bends_only_what_is_large() -> None:
    audio = np.array([0.0, 0.001, -0.001, 1.0, -1.0], np.float32)
    bent = dynamics.saturate(audio, 6.0)
    assert np.allclose(bent[:3], audio[:3], rtol=1e-4)
    assert bent[3] == pytest.approx(-bent[4])
    assert 0.4 < bent[3] < 0.51


def test_chorus_comes_back_with_the_bar() -> None:
    period = 16_000
    bar = np.random.default_rng(0).uniform(-0.5, 0.5, period).astype(np.float32)
    swept = chorus(np.tile(bar, 3), 0.3, period)
    assert np.allclose(swept[period : 2 * period], swept[2 * period :], atol=1e-4)
    assert not np.allclose(swept[period : 2 * period], bar, atol=0.05)


def test_chorus_delays_by_9_to_15_milliseconds() -> None:
    clicks = np.zeros(SAMPLE_RATE_HZ, np.float32)
    clicks[::3200] = 1.0
    answers = np.flatnonzero(chorus(clicks, 1.0, 32_000)) % 3200 / 32
    assert answers.min() == pytest.approx(9, abs=0.2)
    assert answers.max() == pytest.approx(15, abs=0.2)


@pytest.mark.parametrize("name", list(reverb.ROOMS))
def test_room_decays_in_its_time(name: str) -> None:
    """By the energy that is still to come: Schroeder, 1965."""
    room = reverb.ROOMS[name]
    heard = reverb.answer(room)
    to_come = np.cumsum(np.square(heard[::-1], dtype=np.float64))[::-1]
    decay_db = 10 * np.log10(to_come / to_come[0])
    assert to_come[0] == pytest.approx(1.0, rel=1e-4)
    assert not heard[: int(room.delay_s * SAMPLE_RATE_HZ)].any()
    late = [int(np.argmax(decay_db < level)) / SAMPLE_RATE_HZ for level in (-15, -35)]
    assert min(room.decays_s) < 3 * (late[1] - late[0]) < 1.1 * max(room.decays_s)


def test_high_frequencies_die_first_in_a_hall() -> None:
    heard = reverb.answer(reverb.ROOMS["hall"])
    early, late = (np.abs(np.fft.rfft(heard[start : start + 8000])) for start in (4000, 24_000))
    lows, highs = slice(100, 300), slice(2000, 4000)
    assert late[highs].mean() / late[lows].mean() < 0.5 * early[highs].mean() / early[lows].mean()


def test_reverberation_is_as_soft_as_its_chain_says(studio: Studio) -> None:
    click = np.zeros(4 * SAMPLE_RATE_HZ, np.float32)
    click[0] = 1.0
    heard = studio.effects(click, Chain(room="hall", wet_db=-12), bar=32_000)
    assert heard[0] == pytest.approx(1.0, abs=1e-3)
    assert 10 * np.log10(np.square(heard[1:]).sum()) == pytest.approx(-12, abs=0.2)


def test_a_bar_is_as_long_as_its_tempo_says() -> None:
    assert bar_samples(FACTS) == 2.4 * SAMPLE_RATE_HZ
    assert bar_samples(replace(FACTS, meter="3/4", bpm=90)) == 2.0 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("genre", [*CHAINS_OF_GENRE, "polka"])
def test_every_genre_is_as_loud_as_the_others(studio: Studio, genre: str) -> None:
    hits = _sine(220, 1.0, 4.0) * np.exp(-(np.arange(128_000) % 16_000) / 4000).astype(np.float32)
    heard = studio.master(hits, replace(FACTS, genre=genre))
    assert levels.lufs(heard) == pytest.approx(levels.TARGET_LUFS, abs=1.5)
    assert np.abs(heard).max() < 0.9
    assert heard.dtype == np.float32
    assert np.array_equal(heard, Studio().master(hits, replace(FACTS, genre=genre)))


def test_silence_stays_silent(studio: Studio) -> None:
    assert not studio.master(np.zeros(64_000, np.float32), FACTS).any()


def test_a_single_frame_is_finished_too(studio: Studio) -> None:
    assert studio.master(_sine(440, seconds=0.02), FACTS).shape == (640,)


def test_chains_are_named_in_the_table() -> None:
    assert set().union(*CHAINS_OF_GENRE.values()) <= set(CHAINS)
    assert {genre.name for genre in all_genres()} <= set(CHAINS_OF_GENRE)
    assert all(not chain.room or chain.room in reverb.ROOMS for chain in CHAINS.values())


def test_other_genres_are_in_a_room() -> None:
    assert chain_name(replace(FACTS, genre="polka")) == "room"


def test_a_cut_goes_through_the_chain_of_its_song() -> None:
    assert chain_name(replace(FACTS, instruments=(), key="")) == chain_name(FACTS)


def test_a_genre_has_more_than_one_sound() -> None:
    found = {chain_name(replace(FACTS, genre="lo-fi", bpm=bpm)) for bpm in range(68, 93)}
    assert found == {"tape", "room"}


def test_music_with_drums_is_in_no_hall() -> None:
    calm = {chain_name(replace(FACTS, genre="ambient", bpm=bpm)) for bpm in range(60, 90)}
    beaten = {
        chain_name(replace(FACTS, genre="ambient", bpm=bpm, drums=True)) for bpm in range(60, 90)
    }
    assert calm == {"space", "hall"}
    assert beaten == {"neon", "plate"}
