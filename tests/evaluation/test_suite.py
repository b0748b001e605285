"""The suite on the held-out songs themselves: near perfect, or the rulers are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest

from toccata.evaluation import material, suite
from toccata.pipeline import Toccata
from toccata.training.corpus.render import Renderer
from toccata.types import Clip


@pytest.fixture(scope="module")
def songs() -> suite.Material:
    return suite.Material.choose(10, Renderer())


class Echo:
    """A model that makes the very song whose caption or beginning it is given, or silence."""

    def __init__(self, songs: suite.Material, silent: bool = False) -> None:
        self.known = {song.caption: song for song in (*songs.tempo, *songs.drums, *songs.tonal)}
        self.continued = list(songs.continued)
        self.silent = silent

    def generate_batch(self, wanted: Sequence[Mapping[str, Any]]) -> list[Clip]:
        made = [
            self.known[one["prompt"]].audio if "prompt" in one else self.continued[i].audio
            for i, one in enumerate(wanted)
        ]
        return [Clip(audio[None] * (not self.silent), 32_000) for audio in made]


def test_the_songs_themselves_score_high(songs: suite.Material) -> None:
    echo = cast(Toccata, Echo(songs))
    tempo = [clip.samples[0] for clip in suite.make(echo, songs.tempo)]
    drums = [clip.samples[0] for clip in suite.make(echo, songs.drums)]
    assert suite.tempo_rate(tempo, songs.tempo) >= 0.6
    assert suite.tempo_chance(tempo, songs.tempo) <= 0.3
    assert suite.drums_rate(drums, songs.drums) >= 0.9
    key, carried = suite.continuation_rates(suite.carry_on(echo, songs.continued), songs.continued)
    assert key >= 0.6
    assert carried >= 0.5
    right, wrong = suite.melody_rates(
        suite.make(echo, songs.tonal, follow=True), [song.audio for song in songs.tonal]
    )
    assert right == 1.0
    assert wrong < 0.4


def test_silence_scores_low(songs: suite.Material) -> None:
    silent = cast(Toccata, Echo(songs, silent=True))
    made = [clip.samples[0] for clip in suite.make(silent, songs.tempo)]
    assert suite.tempo_rate(made, songs.tempo) == 0.0
    drums = [clip.samples[0] for clip in suite.make(silent, songs.drums)]
    assert suite.drums_rate(drums, songs.drums) == 0.5


def test_the_questions_are_answerable(songs: suite.Material) -> None:
    assert all(str(song.song.facts.bpm) in song.caption for song in songs.tempo)
    asked = [song.song.facts.drums for song in songs.drums]
    assert asked == [True] * 5 + [False] * 5
    assert all(bool(material.NO_DRUMS.search(s.caption)) != s.song.facts.drums for s in songs.drums)
    assert all(song.seed >= material.FIRST_SEED for song in songs.continued)
    assert all(np.abs(song.audio).max() > 0.1 for song in songs.tonal)
