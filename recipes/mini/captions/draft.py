"""Choose the facts that a caption names, and the words for each, before their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from recipes.mini.captions import tables
from recipes.mini.captions.asides import aside
from recipes.mini.captions.caption import NamedFacts
from recipes.mini.captions.chance import one
from recipes.mini.captions.mood_words import mood_words
from recipes.mini.captions.negations import denials
from recipes.mini.captions.vocabulary import (
    generic_word,
    genre_words,
    instrument_words,
    means_something,
)
from recipes.mini.composer.composition import Facts
from recipes.mini.composer.instruments import KITS

_ALONE_SHARE = 0.04  # of captions that name the mood alone, and as many the genre alone
_NOTHING_SHARE = 0.01
_ASIDE_SHARE = 0.12
_LEAD_FIRST_SHARE = 0.96
_GENERIC_LEAD_SHARE, _GENERIC_SHARE = 0.05, 0.35
_COLOUR_SHARE = 0.08  # of nouns
_COLOURS = (
    "dusty", "crisp", "big", "distant", "muted", "vintage", "lush", "reverby", "clear", "thick",
    "old", "booming", "bassy", "twinkling", "lovely", "gorgeous", "layered", "tape-saturated",
)  # fmt: skip
_PLAIN_SHARE = 0.35  # of words that are the fact's own name


@dataclass(frozen=True)
class Draft:
    """The words for each fact; "" or () for the others. `denials` are such as "no vocals"."""

    genre: str = ""
    mood: str = ""
    tempo: str = ""
    bpm: int | None = None
    key: str = ""
    meter: str = ""
    players: tuple[str, ...] = ()
    drums: str = ""
    denials: tuple[str, ...] = ()
    aside: str = ""
    named: NamedFacts = field(default_factory=NamedFacts)


def draft(facts: Facts, rng: np.random.Generator) -> Draft:
    """Choose words for some of the facts."""
    names = _choose(facts, rng)
    playing = facts.drums if "drums" in names else None
    genre = _genre(facts, playing, rng) if "genre" in names else ""
    players, lead = _players(facts, rng) if "players" in names else ((), "")
    key = one(rng, tables.key_forms(facts.key)) if "key" in names else ""
    return Draft(
        genre=genre,
        mood=_synonym(mood_words(facts.mood), rng) if "mood" in names else "",
        tempo=_tempo(facts.bpm, genre, rng) if "tempo" in names else "",
        bpm=facts.bpm if "bpm" in names else None,
        key=key,
        meter=one(rng, tables.METERS) if "meter" in names else "",
        players=players,
        drums=_drums(facts, rng) if playing else "",
        denials=denials(facts, playing, rng) if len(names) > 1 else (),
        aside=aside(rng) if not names or rng.random() < _ASIDE_SHARE else "",
        named=NamedFacts(
            genre=facts.genre if genre else "",
            lead=lead,
            mode=facts.key.split()[1] if key else "",
            key=facts.key if key else "",
            bpm=facts.bpm if "bpm" in names else None,
            drums=playing,
            mood=facts.mood if "mood" in names else "",
        ),
    )


def _choose(facts: Facts, rng: np.random.Generator) -> frozenset[str]:
    """Choose the facts to name, none of them once in a hundred."""
    kind = rng.random()
    if kind < _NOTHING_SHARE:
        return frozenset()
    if kind < _NOTHING_SHARE + _ALONE_SHARE:
        return frozenset({"mood", "tempo"} if rng.random() < 0.4 else {"mood"})
    if kind < _NOTHING_SHARE + 2 * _ALONE_SHARE:
        return frozenset({"genre"})
    bpm = rng.random() < 0.61
    chosen = {
        "genre": rng.random() < 0.84,
        "players": rng.random() < 0.75 and bool(facts.instruments),
        "drums": rng.random() < 0.66,
        "bpm": bpm,
        "tempo": rng.random() < (0.1 if bpm else 0.35),
        "key": rng.random() < 0.44 and bool(facts.key),
        "mood": rng.random() < 0.62,
        "meter": rng.random() < 0.25 and facts.meter == "3/4",
    }
    return frozenset(name for name, is_chosen in chosen.items() if is_chosen) or frozenset({"mood"})


def _genre(facts: Facts, playing: bool | None, rng: np.random.Generator) -> str:
    """ "" if every word promises drums that are not there."""
    words = [
        word
        for word in genre_words().get(facts.genre, (facts.genre,))
        if playing or not word.endswith(tables.BEAT_WORDS) or (facts.drums and word == facts.genre)
    ]
    return _synonym(words, rng) if words else ""


def _tempo(bpm: int, genre: str, rng: np.random.Generator) -> str:
    """Not "medium tempo" before "80s pop": that would name 80 bpm."""
    words = tables.TEMPO_WORDS[tables.tempo_class(bpm)]
    if any(letter.isdigit() for letter in genre):
        words = tuple(word for word in words if not word.endswith("tempo"))
    return one(rng, words)


def _players(facts: Facts, rng: np.random.Generator) -> tuple[tuple[str, ...], str]:
    """One to all of the instruments, the lead first, and the lead if its own name is used."""
    lead, *others = facts.instruments
    count = int(rng.integers(len(others) + 1))
    chosen = [others[i] for i in sorted(rng.permutation(len(others))[:count])]
    words = [_instrument(name, _GENERIC_SHARE, rng) for name in chosen]
    if chosen and rng.random() > _LEAD_FIRST_SHARE:
        return tuple(words), ""
    generic = generic_word(lead)
    if generic and rng.random() < _GENERIC_LEAD_SHARE:
        return (generic, *words), ""
    word = _instrument(lead, 0.0, rng)
    if len(facts.instruments) == 1 and not facts.drums and rng.random() < 0.4:
        word = f"solo {word}"
    return (word, *words), lead


def _instrument(name: str, generic_share: float, rng: np.random.Generator) -> str:
    generic = generic_word(name)
    if generic and rng.random() < generic_share:
        return _coloured(generic, rng)
    return _coloured(_synonym(instrument_words().get(name, (name,)), rng), rng)


def _coloured(noun: str, rng: np.random.Generator) -> str:
    """A noun, sometimes with an adjective without information: "dusty piano"."""
    if rng.random() >= _COLOUR_SHARE:
        return noun
    colour = one(rng, _COLOURS)
    return noun if means_something(colour) else f"{colour} {noun}"


def _synonym(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[0] if rng.random() < _PLAIN_SHARE else one(rng, words)


def _drums(facts: Facts, rng: np.random.Generator) -> str:
    kit = KITS[facts.kit].words if facts.kit in KITS else ()
    words = one(rng, kit if kit and rng.random() < 0.4 else tables.DRUMS)
    return words if words.startswith("a ") else _coloured(words, rng)
