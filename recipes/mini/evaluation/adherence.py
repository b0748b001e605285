"""Is what was asked for in words what is heard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations

from recipes.mini.captions import Told
from recipes.mini.composer.examples import Example
from recipes.mini.composer.instruments import INSTRUMENTS
from recipes.mini.evaluation.clip_analysis import Heard
from toccata.analysis.key import parse_key, same_scale
from toccata.analysis.tempo import tempo_agrees

Right = Callable[[Told, Heard], bool]


def _tempo(told: Told, heard: Heard) -> bool:
    return tempo_agrees(told.bpm or 0, heard.bpm)


def _key(told: Told, heard: Heard) -> bool:
    return parse_key(told.key) == heard.key


def _scale(told: Told, heard: Heard) -> bool:
    return same_scale(parse_key(told.key), heard.key)


def _drums(told: Told, heard: Heard) -> bool:
    return told.drums == heard.drums


def _lead(told: Told, heard: Heard) -> bool:
    return INSTRUMENTS[told.lead].family == heard.family


def _genre(told: Told, heard: Heard) -> bool:
    return told.genre == heard.genre


# By figure: what a caption has to tell, and whether it is heard.
QUESTIONS: Mapping[str, tuple[str, Right]] = {
    "tempo_accuracy": ("bpm", _tempo),
    "key_accuracy": ("key", _key),
    "key_scale_accuracy": ("key", _scale),
    "drums_accuracy": ("drums", _drums),
    "instrument_accuracy": ("lead", _lead),
    "genre_accuracy": ("genre", _genre),
}
# One figure for all that is told: a scale is no question of its own.
_COUNTED = tuple(name for name in QUESTIONS if name != "key_scale_accuracy")
_SILENT = (None, "")


def tells(told: Told, fact: str) -> bool:
    return getattr(told, fact) not in _SILENT


def hits(name: str, heard: Sequence[Heard], songs: Sequence[Example]) -> list[bool]:
    """Whether each clip whose caption tells the fact has it."""
    fact, right = QUESTIONS[name]
    pairs = zip(heard, songs, strict=True)
    return [right(song.told, one) for one, song in pairs if tells(song.told, fact)]


def rates(heard: Sequence[Heard], songs: Sequence[Example]) -> dict[str, float]:
    """The share of hits for each question, 0 to 1; a question that no caption asks is left out."""
    found = {name: hits(name, heard, songs) for name in QUESTIONS}
    return {name: share(of_name) for name, of_name in found.items() if of_name}


def adherence(heard: Sequence[Heard], songs: Sequence[Example]) -> float:
    """The share of all facts told that are heard."""
    return share([hit for name in _COUNTED for hit in hits(name, heard, songs)])


def chances(heard: Sequence[Heard], songs: Sequence[Example]) -> dict[str, float]:
    """The rates if every clip is held against what all the others were asked for."""
    found = {}
    for name, (fact, right) in QUESTIONS.items():
        asked = [
            (song.told, one)
            for song, one in zip(songs, heard, strict=True)
            if tells(song.told, fact)
        ]
        crossed = [right(told, other) for (told, _), (_, other) in permutations(asked, 2)]
        if crossed:
            found[name] = share(crossed)
    return found


def counts(songs: Sequence[Example]) -> dict[str, int]:
    """How many captions ask each question."""
    return {
        name: sum(tells(song.told, fact) for song in songs) for name, (fact, _) in QUESTIONS.items()
    }


def share(hits: Sequence[bool]) -> float:
    """0 where nothing was asked."""
    return round(sum(hits) / len(hits), 4) if hits else 0.0
