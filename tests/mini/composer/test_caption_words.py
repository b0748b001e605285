"""Synonyms that mean one thing, asides that mean none, and slips that change neither."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from recipes.mini.captions import tables
from recipes.mini.captions.asides import aside, invented_name
from recipes.mini.captions.mood_words import MOODS, known_moods, mood_words
from recipes.mini.captions.spelling import typed
from recipes.mini.captions.vocabulary import (
    contains,
    genre_words,
    instrument_words,
    means_something,
)
from recipes.mini.composer.genres import all_genres
from recipes.mini.composer.instruments import INSTRUMENTS


def test_every_genre_and_instrument_has_words_the_first_its_name() -> None:
    assert {name: words[0] for name, words in genre_words().items()} == {
        genre.name: genre.name for genre in all_genres()
    }
    assert {name: words[0] for name, words in instrument_words().items()} == {
        name: name for name in INSTRUMENTS
    }


def test_no_word_names_two_genres_instruments_or_moods() -> None:
    moods = [word for mood in known_moods() for word in mood_words(mood)]
    genres = [word for words in genre_words().values() for word in words]
    instruments = [word for words in instrument_words().values() for word in words]
    counts = Counter((*moods, *genres, *instruments))
    assert [word for word, count in counts.items() if count > 1] == []


def test_an_instrument_is_not_named_by_what_names_a_genre() -> None:
    genres = {word for words in genre_words().values() for word in words}
    for name, words in instrument_words().items():
        assert not [w for w in words if w != name and any(contains(w, g) for g in genres)]


def test_every_mood_of_a_genre_has_synonyms() -> None:
    moods = {mood for genre in all_genres() for mood in (*genre.major_moods, *genre.minor_moods)}
    assert moods <= set(MOODS)


def test_keys_are_written_in_both_signs_and_both_lengths() -> None:
    forms = set(tables.key_forms("C# minor"))
    assert {"C# minor", "C#m", "C sharp minor", "Db minor", "C# min"} <= forms
    assert {"A major", "A maj", "Amaj"} <= set(tables.key_forms("A major"))
    assert not any("major" in form or "maj" in form for form in forms)


def test_asides_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    phrases = {aside(rng) for _ in range(2000)}
    assert len(phrases) > 400
    assert not [phrase for phrase in phrases if means_something(phrase)]
    assert not [name for _ in range(500) if means_something(name := invented_name(rng))]


TEXT = (
    "need a melancholic orchestra track at 92 bpm in the key of C sharp minor without drums, 92bpm"
)


def test_slips_leave_numbers_and_what_is_kept_alone() -> None:
    kept = "C sharp minor without"
    for seed in range(500):
        text = typed(TEXT, np.random.default_rng(seed), kept).lower()
        assert re.findall(r"\d+", text) == ["92", "92"]
        assert "c sharp minor without" in text


def test_about_one_word_in_twenty_is_misspelt() -> None:
    right = TEXT.lower().replace(",", "").split()
    wrong = total = 0
    for seed in range(1000):
        words = re.sub(r"[^\w ]", "", typed(TEXT, np.random.default_rng(seed)).lower()).split()
        wrong += sum(word not in right for word in words)
        total += len(words)
    assert 0.02 < wrong / total < 0.07
