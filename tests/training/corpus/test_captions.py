from __future__ import annotations

import re

import numpy as np

from toccata.training.corpus.captions import caption
from toccata.training.corpus.compose import compose
from toccata.training.corpus.instruments import INSTRUMENTS
from toccata.training.corpus.song import Facts
from toccata.training.corpus.stream import caption_rng

PAIRS = [
    (song.facts, caption(song.facts, caption_rng(seed)).lower())
    for seed in range(600)
    for song in [compose(seed, 8.0)]
]
NO_DRUMS = re.compile(r"no drums|without drums|drumless|no percussion")
DRUMS = re.compile(r"drum|brush")


def _share(told: list[bool]) -> float:
    return float(np.mean(told))


def _sounds(facts: Facts) -> set[str]:
    return {word for name in facts.instruments for word in INSTRUMENTS[name].words}


def test_same_seed_same_words() -> None:
    facts = compose(3, 8.0).facts
    assert caption(facts, caption_rng(3)) == caption(facts, caption_rng(3))


def test_every_number_told_is_the_tempo() -> None:
    for facts, text in PAIRS:
        numbers = re.findall(r"\d+", re.sub(r"3/4|808|80s", "", text))
        assert set(numbers) <= {str(facts.bpm)}, text
    assert 0.5 < _share([str(facts.bpm) in text for facts, text in PAIRS]) < 0.7


def test_drums_are_promised_only_when_there() -> None:
    without = [text for facts, text in PAIRS if not facts.drums]
    playing = [text for facts, text in PAIRS if facts.drums]
    assert not any(NO_DRUMS.search(text) for text in playing)
    assert not any(DRUMS.search(NO_DRUMS.sub("", text)) for text in without)
    assert not any(re.search(r"beat|groove\b", text) for text in without)
    assert 0.5 < _share([bool(NO_DRUMS.search(text)) for text in without]) < 0.75
    assert 0.5 < _share([bool(DRUMS.search(text)) for text in playing]) < 0.75


def test_key_told_is_the_key() -> None:
    keys = re.compile(r"\b([a-g][b#]?) (major|minor)\b")
    for facts, text in PAIRS:
        assert {" ".join(k) for k in keys.findall(text)} <= {facts.key.lower()}, text
    assert 0.2 < _share([bool(keys.search(text)) for _, text in PAIRS]) < 0.4


def test_instruments_told_are_played() -> None:
    ambiguous = {"piano", "guitar", "bass", "voices", "pad", "strings"}
    names = {word for i in INSTRUMENTS.values() for word in i.words} - ambiguous
    for facts, text in PAIRS:
        sounds = " | ".join(_sounds(facts))
        assert all(name in sounds for name in names if re.search(rf"\b{name}\b", text)), text
    named = [any(word in text for word in _sounds(facts)) for facts, text in PAIRS]
    assert 0.55 < _share(named) < 0.75


def test_something_is_always_told_in_clean_words() -> None:
    for _, text in PAIRS:
        assert len(text) > 3
        assert not re.search(r"  | ,|,,|^[ ,]|[ ,]$|\{|\bwith with\b", text), text
    assert len({text for _, text in PAIRS}) > 0.95 * len(PAIRS)
