"""What was asked in words against what is heard: every question by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recipes.mini.captions import NamedFacts, write_caption
from recipes.mini.composer.compose import compose
from recipes.mini.composer.examples import Example, caption_rng
from recipes.mini.evaluation import adherence, guidance
from recipes.mini.evaluation.clip_analysis import ClipAnalysis
from recipes.mini.evaluation.reference_songs import FIRST_SEED, QUESTIONS, seeds
from tests.mini.evaluation.sounds import RATE_HZ, tune
from toccata.analysis.key import Key

SONG = compose(0, 1.0)


def asked(**told: object) -> Example:
    return Example(0, SONG, "", np.zeros(1, np.float32), NamedFacts(**told))  # type: ignore[arg-type]


def heard(
    bpm: float = 100.0, key: Key = (0, "major"), genre: str = "rock", family: str = "guitar",
    drums: bool = True,
) -> ClipAnalysis:  # fmt: skip
    return ClipAnalysis(bpm, key, genre, family, drums, torch.zeros(4))


def test_each_fact_told_is_looked_for() -> None:
    told = asked(bpm=100, key="C major", genre="rock", lead="clean guitar", drums=True)
    right = adherence.rates([heard()], [told])
    assert right == dict.fromkeys(adherence.QUESTIONS, 1.0)
    wrong = heard(bpm=131.0, key=(2, "minor"), genre="jazz", family="piano", drums=False)
    assert adherence.rates([wrong], [told]) == dict.fromkeys(adherence.QUESTIONS, 0.0)


def test_half_of_the_tempo_and_a_relative_key_are_close() -> None:
    told = asked(bpm=100, key="C major")
    found = adherence.rates([heard(bpm=51.0, key=(9, "minor"))], [told])
    assert found == {"tempo_accuracy": 1.0, "key_accuracy": 0.0, "key_scale_accuracy": 1.0}


def test_what_a_caption_does_not_tell_does_not_count() -> None:
    songs = [asked(drums=False), asked(genre="jazz"), asked()]
    found = adherence.rates([heard(), heard(), heard()], songs)
    assert found == {"drums_accuracy": 0.0, "genre_accuracy": 0.0}
    assert adherence.counts(songs)["drums_accuracy"] == 1
    assert adherence.adherence([heard(drums=False), heard(), heard()], songs) == 0.5


def test_chance_is_how_often_others_were_asked_for_the_same() -> None:
    songs = [asked(drums=True), asked(drums=True), asked(drums=False)]
    found = adherence.chances([heard(drums=song.named.drums or False) for song in songs], songs)
    assert found == {"drums_accuracy": pytest.approx(1 / 3, abs=1e-4)}


def test_guidance_serves_if_more_is_heard_and_nothing_collapses() -> None:
    clips = [tune(1, 2)]
    songs = [asked(drums=False)]
    none = guidance.guided(clips, [heard()], songs)
    some = guidance.guided(clips, [heard(drums=False)], songs)
    looping = guidance.guided([np.zeros(RATE_HZ, np.float32)], [heard(drums=False)], songs)
    assert (none.adherence, some.adherence, looping.unhealthy) == (0.0, 1.0, 1.0)
    assert guidance.serves({"1": none, "3": some, "6": some})
    assert not guidance.serves({"1": some, "3": some, "6": some})
    assert not guidance.serves({"1": none, "3": some, "10": looping})


def test_songs_are_held_out_and_answer_every_question_often_enough() -> None:
    chosen = list(seeds(6))
    assert min(chosen) >= FIRST_SEED
    facts = [compose(seed, 8.0).facts for seed in chosen]
    told = [
        write_caption(one, caption_rng(seed)).named for one, seed in zip(facts, chosen, strict=True)
    ]
    for share, answers in QUESTIONS.values():
        assert sum(answers(*pair) for pair in zip(facts, told, strict=True)) >= 6 * share
    assert len(chosen) < 60
