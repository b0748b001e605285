"""Which words may name a genre or an instrument: those that name it and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from recipes.mini.captions.mood_words import MOODS, known_moods
from recipes.mini.captions.tables import BEAT_WORDS, DRUMS, NO_DRUMS, TEMPO_WORDS
from recipes.mini.composer.genres import all_genres
from recipes.mini.composer.instruments import INSTRUMENTS, KITS

Words = Mapping[str, tuple[str, ...]]

# Beyond the words of the tables themselves.
_MORE_GENRES: Words = {
    "lo-fi": ("lo fi", "lofi hip hop", "study beats", "lo-fi chillhop"),
    "house": ("house track", "club house"),
    "techno": ("tekno", "detroit techno"),
    "rock": ("rock music", "rock'n'roll", "rock n roll", "rock band"),
    "funk": ("funk music", "70s funk"),
    "hip hop": ("hiphop", "rap instrumental", "old school hip hop"),
    "synthwave": ("synth wave", "retro wave", "retro synthwave"),
    "jazz": ("jazz music", "jazz standard", "jazz combo"),
    "bossa nova": ("bossanova", "bossa-nova"),
    "ambient": ("ambient music", "atmospheric", "drone", "soundscape"),
    "classical": ("classical piece", "baroque", "sonata"),
    "folk": ("folk music", "folk song"),
    "cinematic": ("soundtrack", "film music", "movie score", "trailer music"),
    "waltz": ("viennese waltz", "waltzing"),
    "reggae": ("reggae music", "roots reggae", "jamaican reggae"),
    "disco": ("70s disco", "disco music"),
    "drum and bass": ("drum & bass", "drum n bass", "drum'n'bass", "d&b", "d'n'b"),
    "blues": ("blues music", "delta blues", "12-bar blues"),
    "country": ("country music", "bluegrass", "nashville country"),
    "metal": ("heavy metal", "metal music"),
    "salsa": ("salsa music", "cuban salsa"),
    "trap": ("trap music", "atlanta trap"),
    "trance": ("trance music", "goa trance"),
    "chiptune": ("chip tune", "8-bit", "8 bit", "8bit", "chiptunes"),
}
_MORE_INSTRUMENTS: Words = {
    "piano": ("piano keys", "pianoforte", "upright piano"),
    "electric piano": ("e piano", "wurlitzer", "rhodes piano", "fender rhodes"),
    "vibraphone": ("vibraharp",),
    "acoustic guitar": ("acoustic guitars", "nylon-string guitar"),
    "clean guitar": ("clean guitars",),
    "overdriven guitar": ("overdriven guitars", "crunchy guitar"),
    "upright bass": ("contrabass", "standup bass"),
    "bass guitar": ("electric bass guitar",),
    "synth bass": ("synth bassline", "bass synth"),
    "strings": ("string ensemble", "string orchestra"),
    "choir": ("chorus of voices", "choir voices"),
    "trumpet": ("trumpets",),
    "saxophone": ("saxophones", "tenor sax"),
    "flute": ("flutes",),
    "square lead": ("square wave lead", "square wave synth"),
    "saw lead": ("sawtooth lead", "sawtooth synth"),
    "warm pad": ("synth pads", "warm pads"),
    "marimba": ("marimbas",),
    "music box": ("musical box",),
    "accordion": ("accordions",),
    "distortion guitar": ("distorted guitars", "distorted electric guitar"),
    "banjo": ("banjos",),
    "sub bass": ("sub-bass", "808 bass"),
    "violin": ("violins",),
    "harp": ("harps", "celtic harp"),
    "brass section": ("brass", "brass ensemble"),
    "clarinet": ("clarinets",),
    "harmonica": ("harmonicas",),
}
# Nouns that take in several instruments.
_GENERIC = frozenset({"bass", "guitar", "organ", "pad", "strings", "synth"})


@cache
def genre_words() -> Words:
    """The words for each genre: its name first, then all that mean this genre alone."""
    tables = {genre.name: genre.words for genre in all_genres()}
    mine = _candidates(tables, _MORE_GENRES)
    plain = {
        *known_moods(),
        *_flat(TEMPO_WORDS.values()),
        *_flat(_instrument_candidates().values()),
    }
    return {name: tuple(_genre_words(name, mine, plain)) for name in mine}


@cache
def instrument_words() -> Words:
    """The words for each instrument: its name first, then all that mean it alone."""
    mine = _instrument_candidates()
    genres = _flat(_candidates({g.name: g.words for g in all_genres()}, _MORE_GENRES).values())
    foreign = {*known_moods(), *genres, *_flat(TEMPO_WORDS.values())}
    return {name: tuple(_instrument_words(name, mine, foreign)) for name in mine}


@cache
def generic_word(instrument: str) -> str:
    """The noun that takes in this instrument and others, as "guitar"; "" if there is none."""
    noun = instrument.rsplit(maxsplit=1)[-1]
    return noun if noun in _GENERIC and noun not in INSTRUMENTS else ""


@cache
def meaning_words() -> frozenset[str]:
    """Every word and phrase that names a fact, in lower case."""
    tables = (genre_words(), instrument_words(), TEMPO_WORDS, MOODS)
    kits = _flat(kit.words for kit in KITS.values())
    words = {word for table in tables for word in _flat(table.values())}
    rest = {
        *known_moods(),
        *kits,
        *DRUMS,
        *NO_DRUMS,
        *BEAT_WORDS,
        *_GENERIC,
        "major",
        "minor",
        "bpm",
    }
    return frozenset(word.casefold() for word in {*words, *rest, "tempo", "vocals"})


@cache
def meaning_tokens() -> frozenset[str]:
    """The single words of `meaning_words`."""
    return frozenset(token for word in meaning_words() for token in re.findall(r"\w+", word))


@cache
def _meaning_pattern() -> re.Pattern[str]:
    words = sorted(meaning_words(), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)")


def means_something(text: str) -> bool:
    """Whether a text contains a word that names a fact."""
    return _meaning_pattern().search(text.casefold()) is not None


def contains(text: str, word: str) -> bool:
    """Whether `word` is in `text` as whole words."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _candidates(tables: Words, more: Words) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(dict.fromkeys((name, *words, *more.get(name, ()))))
        for name, words in tables.items()
    }


def _instrument_candidates() -> dict[str, tuple[str, ...]]:
    return _candidates({item.name: item.words for item in INSTRUMENTS.values()}, _MORE_INSTRUMENTS)


def _genre_words(name: str, mine: Words, plain: set[str]) -> Iterable[str]:
    """A phrase may contain another genre's word after its own ("lo-fi hip hop" is lo-fi), and
    what its own name contains ("bass" in "drum & bass").
    """
    others = {word for other, words in mine.items() if other != name for word in words}
    for word in mine[name]:
        led_by_own = any(word.startswith(f"{own} ") for own in mine[name])
        foreign = plain if led_by_own else plain | others
        said = {f for f in foreign if contains(word, f) and not contains(name, f)}
        if word == name or not (word in others or said):
            yield word


def _instrument_words(name: str, mine: Words, foreign: set[str]) -> Iterable[str]:
    """Not what another is called too, nor a noun that takes in several."""
    others = {word for other, words in mine.items() if other != name for word in words}
    names = {other for other in mine if other != name and not contains(name, other)}
    for word in mine[name]:
        shared = word in others or word in _GENERIC or word.startswith("solo ")
        if word == name or not (shared or any(contains(word, f) for f in names | foreign)):
            yield word


def _flat(groups: Iterable[Iterable[str]]) -> set[str]:
    return {word for group in groups for word in group}
