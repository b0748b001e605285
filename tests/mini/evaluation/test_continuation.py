"""Continuations and their seams, on sounds that were joined by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recipes.mini.captions import NamedFacts
from recipes.mini.composer.compose import compose
from recipes.mini.composer.examples import Example
from recipes.mini.evaluation import continuation
from recipes.mini.evaluation.continuation import new_parts
from recipes.mini.evaluation.seam import Seam, seam_rank, seams, spectral_flux
from tests.mini.evaluation.sounds import RATE_HZ, Audio, chord

SONG = compose(0, 1.0)


def song_of(bpm: int, key: str) -> Example:
    facts = replace(SONG.facts, bpm=bpm, key=key)
    return Example(0, replace(SONG, facts=facts), "", np.zeros(1, np.float32), NamedFacts())


def strikes(bpm: float, seconds: float, loud_at_s: float | None = None) -> Audio:
    """Noise that falls off from every beat on, a little different each time."""
    rng = np.random.default_rng(0)
    beat = round(60 / bpm * RATE_HZ)
    audio = np.zeros(round(seconds * RATE_HZ) + beat, np.float32)
    for start in range(0, len(audio) - beat, beat):
        gain = rng.uniform(0.2, 0.3)
        audio[start : start + beat] = (
            gain * rng.standard_normal(beat) * np.exp(-np.arange(beat) / 3000)
        )
    if loud_at_s is not None:
        at = round(loud_at_s * RATE_HZ)
        audio[at : at + 300] += rng.standard_normal(300).astype(np.float32)
    return audio[: round(seconds * RATE_HZ)]


def test_a_clap_at_the_seam_stands_out() -> None:
    assert seam_rank(spectral_flux(strikes(120, 8, loud_at_s=4.2)), 120, 4.2) == 1.0


def test_a_beat_at_the_seam_does_not() -> None:
    clips = [strikes(bpm, 8) for bpm in (100, 110, 120, 130)]
    songs = [song_of(bpm, "C major") for bpm in (100, 110, 120, 130)]
    found = seams(clips, songs)
    assert 0.2 <= found.rank <= 0.8
    assert not found.detectable
    assert len(found.curve) == 200


def test_many_seams_that_rank_high_are_detectable() -> None:
    high = Seam(tuple(np.linspace(0.5, 1.0, 40)), ())
    assert high.rank == 0.75
    assert high.interval == pytest.approx((0.704, 0.796), abs=0.002)
    assert high.detectable
    assert not Seam((0.9,), ()).detectable
    assert not Seam((0.1, 0.2, 0.3), ()).detectable


def test_only_the_new_part_is_judged() -> None:
    given, new = chord(60, 64, 67, duration_s=4.0), chord(62, 66, 69, duration_s=6.0)
    (part,) = new_parts([np.concatenate([given, new])])
    assert np.array_equal(part, new)


def test_a_kept_key_and_tempo_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuation, "estimate_key", lambda *_: (0, "major"))
    parts = [strikes(120, 6), strikes(97, 6), strikes(130, 6)]
    songs = [song_of(120, "C major"), song_of(97, "A minor"), song_of(100, "B major")]
    assert continuation.kept(parts, songs) == {
        "continuation_key_accuracy": pytest.approx(1 / 3, abs=1e-4),
        "continuation_key_scale_accuracy": pytest.approx(2 / 3, abs=1e-4),
        "continuation_tempo_accuracy": pytest.approx(2 / 3, abs=1e-4),
    }
