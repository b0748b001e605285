"""Adherence to the caption: whether a clip has the facts that its caption names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations

from recipes.mini.captions import NamedFacts
from recipes.mini.composer.examples import Example
from recipes.mini.composer.instruments import INSTRUMENTS
from recipes.mini.evaluation.clip_analysis import ClipAnalysis
from toccata.analysis.key import parse_key, same_scale
from toccata.analysis.tempo import tempo_agrees

Agrees = Callable[[NamedFacts, ClipAnalysis], bool]


def _tempo(named: NamedFacts, clip: ClipAnalysis) -> bool:
    return tempo_agrees(named.bpm or 0, clip.bpm)


def _key(named: NamedFacts, clip: ClipAnalysis) -> bool:
    return parse_key(named.key) == clip.key


def _scale(named: NamedFacts, clip: ClipAnalysis) -> bool:
    return same_scale(parse_key(named.key), clip.key)


def _drums(named: NamedFacts, clip: ClipAnalysis) -> bool:
    return named.drums == clip.drums


def _lead(named: NamedFacts, clip: ClipAnalysis) -> bool:
    return INSTRUMENTS[named.lead].family == clip.family


def _genre(named: NamedFacts, clip: ClipAnalysis) -> bool:
    return named.genre == clip.genre


# By metric: the fact that a caption must name, and whether a clip has it.
QUESTIONS: Mapping[str, tuple[str, Agrees]] = {
    "tempo_accuracy": ("bpm", _tempo),
    "key_accuracy": ("key", _key),
    "key_scale_accuracy": ("key", _scale),
    "drums_accuracy": ("drums", _drums),
    "instrument_accuracy": ("lead", _lead),
    "genre_accuracy": ("genre", _genre),
}
# For one figure of all facts: a scale is not counted besides the key.
_COUNTED = tuple(name for name in QUESTIONS if name != "key_scale_accuracy")
_SILENT = (None, "")


def names(named: NamedFacts, fact: str) -> bool:
    """Whether a caption names a fact."""
    return getattr(named, fact) not in _SILENT


def correct(name: str, clips: Sequence[ClipAnalysis], songs: Sequence[Example]) -> list[bool]:
    """Whether each clip whose caption names the fact of a metric has it."""
    fact, agrees = QUESTIONS[name]
    pairs = zip(clips, songs, strict=True)
    return [agrees(song.named, one) for one, song in pairs if names(song.named, fact)]


def rates(clips: Sequence[ClipAnalysis], songs: Sequence[Example]) -> dict[str, float]:
    """The accuracy of each metric, 0 to 1, except those whose fact no caption names."""
    found = {name: correct(name, clips, songs) for name in QUESTIONS}
    return {name: share(of_name) for name, of_name in found.items() if of_name}


def adherence(clips: Sequence[ClipAnalysis], songs: Sequence[Example]) -> float:
    """The share of all named facts that the clips have."""
    return share([is_right for name in _COUNTED for is_right in correct(name, clips, songs)])


def chances(clips: Sequence[ClipAnalysis], songs: Sequence[Example]) -> dict[str, float]:
    """The chance level: the rates of every clip against the captions of all others."""
    found = {}
    for name, (fact, agrees) in QUESTIONS.items():
        pairs = [
            (song.named, one)
            for song, one in zip(songs, clips, strict=True)
            if names(song.named, fact)
        ]
        crossed = [agrees(named, other) for (named, _), (_, other) in permutations(pairs, 2)]
        if crossed:
            found[name] = share(crossed)
    return found


def counts(songs: Sequence[Example]) -> dict[str, int]:
    """How many captions name the fact of each metric."""
    return {
        name: sum(names(song.named, fact) for song in songs)
        for name, (fact, _) in QUESTIONS.items()
    }


def share(flags: Sequence[bool]) -> float:
    """The share of true flags; 0 for none."""
    return round(sum(flags) / len(flags), 4) if flags else 0.0
