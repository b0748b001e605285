"""Facts to words, in many wordings, always true and never all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from toccata.training.corpus.genres import all_genres
from toccata.training.corpus.instruments import INSTRUMENTS, KITS
from toccata.training.corpus.song import Facts

_SLOW_BELOW_BPM, _FAST_FROM_BPM = 85, 120
_TEMPO_WORDS = {
    "slow": ("slow", "slow", "downtempo"),
    "medium": ("mid-tempo", "medium tempo", "moderate"),
    "fast": ("fast", "fast-paced", "up-tempo"),
}
_BPM_TAGS = ("{} bpm", "{} bpm", "{} BPM", "at {} bpm", "tempo {}", "{}bpm", "tempo {} bpm")
_BPM_ENDINGS = (" at {} bpm", " at {} BPM", ", {} bpm", ", tempo {}", " at a tempo of {} bpm")
_KEY_TAGS = ("in {}", "{}", "key of {}")
_KEY_ENDINGS = (" in {}", ", in the key of {}", ", {}")
_METER_TAGS = ("3/4", "3/4 time", "three-four time")
_NO_DRUMS = ("no drums", "no drums", "without drums", "drumless", "no percussion")
_DRUMS = ("drums", "drums", "with drums", "drum beat", "steady drums")
_NOUNS = ("music", "track", "piece", "tune", "")
# Words that promise drums.
_BEAT_WORDS = ("beat", "groove")
_MOOD_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "mellow": ("mellow", "chill", "relaxing"), "relaxed": ("relaxed", "chill", "relaxing"),
    "calm": ("calm", "relaxing", "quiet"), "peaceful": ("peaceful", "soothing"),
    "melancholic": ("melancholic", "sad"), "sad": ("sad", "sorrowful"),
    "happy": ("happy", "cheerful", "feel-good"), "joyful": ("joyful", "happy"),
    "upbeat": ("upbeat", "lively"), "energetic": ("energetic", "powerful"),
    "dark": ("dark", "gloomy"), "groovy": ("groovy", "funky"), "driving": ("driving", "pulsing"),
    "uplifting": ("uplifting", "inspiring"), "epic": ("epic", "grand"),
    "dramatic": ("dramatic", "intense"), "romantic": ("romantic", "tender"),
    "nostalgic": ("nostalgic", "retro"), "dreamy": ("dreamy", "ethereal"),
    "aggressive": ("aggressive", "heavy"), "warm": ("warm", "gentle"),
}  # fmt: skip


def caption(facts: Facts, rng: np.random.Generator) -> str:
    """One description of a clip, with at least one fact in it."""
    told = _choose(facts, rng)
    text = _tags(facts, told, rng) if rng.random() < 0.55 else _sentence(facts, told, rng)
    return _case(text, rng)


def tempo_class(bpm: int) -> str:
    """Name the tempo "slow" (below 85 bpm), "medium" or "fast" (from 120 bpm)."""
    if bpm < _SLOW_BELOW_BPM:
        return "slow"
    return "medium" if bpm < _FAST_FROM_BPM else "fast"


def _choose(facts: Facts, rng: np.random.Generator) -> frozenset[str]:
    """The names of the facts to be told."""
    tempo = rng.random()
    told = {
        "mood": rng.random() < 0.65,
        "genre": rng.random() < 0.85,
        "instruments": rng.random() < 0.68 and bool(facts.instruments),
        "drums": rng.random() < 0.62,
        "key": rng.random() < 0.3 and bool(facts.key),
        "meter": rng.random() < 0.25 and facts.meter == "3/4",
        "bpm": tempo < 0.6,
        "tempo": 0.6 <= tempo < 0.85,
    }
    return frozenset(name for name, is_told in told.items() if is_told) or frozenset({"genre"})


def _tags(facts: Facts, told: frozenset[str], rng: np.random.Generator) -> str:
    """Comma-separated, now and then out of order; an adjective may join its noun."""
    words = {
        "tempo": _one(rng, _TEMPO_WORDS[tempo_class(facts.bpm)]),
        "mood": _mood(facts, rng),
        "genre": _genre(facts, rng),
        "instruments": _join(_instruments(facts, rng), rng) if facts.instruments else "",
        "drums": _one(rng, _drum_words(facts)),
        "bpm": _one(rng, _BPM_TAGS).format(facts.bpm),
        "key": _one(rng, _KEY_TAGS).format(facts.key),
        "meter": _one(rng, _METER_TAGS),
    }
    tags = {name: word for name, word in words.items() if name in told}
    _attach(tags, "mood", ("genre", "instruments"), rng)
    _attach(tags, "tempo", ("genre", "drums") if facts.drums else ("genre",), rng)
    order = list(tags.values())
    if rng.random() < 0.4:
        order = [order[i] for i in rng.permutation(len(order))]
    return ", ".join(order)


def _attach(
    tags: dict[str, str], adjective: str, nouns: Sequence[str], rng: np.random.Generator
) -> None:
    """Move the adjective in front of the first of `nouns` that is there, more often than not."""
    noun = next((noun for noun in nouns if noun in tags), None)
    if noun and adjective in tags and not tags[noun].startswith("with") and rng.random() < 0.6:
        tags[noun] = f"{tags.pop(adjective)} {tags[noun]}"


def _sentence(facts: Facts, told: frozenset[str], rng: np.random.Generator) -> str:
    """Flowing words in a fixed order: what it is, who plays, how fast, in which key."""
    head = [_one(rng, _TEMPO_WORDS[tempo_class(facts.bpm)])] if "tempo" in told else []
    head += [_mood(facts, rng)] if "mood" in told else []
    if "genre" in told:
        genre = _genre(facts, rng)
        noun = _one(rng, _NOUNS)
        head += [genre] if noun in genre else [genre, noun]
    else:
        head.append("music")
    text = " ".join(head) + _players(facts, told, rng)
    if "bpm" in told:
        text += _one(rng, _BPM_ENDINGS).format(facts.bpm)
    return text + (_one(rng, _KEY_ENDINGS).format(facts.key) if "key" in told else "")


def _players(facts: Facts, told: frozenset[str], rng: np.random.Generator) -> str:
    names = _instruments(facts, rng) if "instruments" in told else []
    if "drums" in told and facts.drums:
        names.append(_one(rng, KITS[facts.kit].words))
    text = f" {_one(rng, ('with', 'with', 'featuring'))} {_join(names, rng)}" if names else ""
    if "drums" in told and not facts.drums:
        text += _one(rng, (", no drums", " without drums", ", drumless", " and no drums"))
    return text


def _mood(facts: Facts, rng: np.random.Generator) -> str:
    return _one(rng, _MOOD_SYNONYMS.get(facts.mood, (facts.mood,)))


def _genre(facts: Facts, rng: np.random.Generator) -> str:
    words = next(genre.words for genre in all_genres() if genre.name == facts.genre)
    if not facts.drums:
        words = tuple(word for word in words if not word.endswith(_BEAT_WORDS))
    return words[0] if rng.random() < 0.4 else _one(rng, words)


def _instruments(facts: Facts, rng: np.random.Generator) -> list[str]:
    """One to all of them, the leading ones first."""
    count = 1 + int(rng.integers(len(facts.instruments)))
    chosen = sorted(rng.permutation(len(facts.instruments))[:count])
    words = [_one(rng, INSTRUMENTS[facts.instruments[i]].words) for i in chosen]
    if len(facts.instruments) == 1 and not facts.drums and rng.random() < 0.5:
        return [f"solo {words[0]}"]
    return words


def _join(words: Sequence[str], rng: np.random.Generator) -> str:
    if len(words) > 1 and rng.random() < 0.6:
        return ", ".join(words[:-1]) + " and " + words[-1]
    return ", ".join(words)


def _drum_words(facts: Facts) -> tuple[str, ...]:
    return _DRUMS + KITS[facts.kit].words if facts.drums else _NO_DRUMS


def _case(text: str, rng: np.random.Generator) -> str:
    """As people type: mostly lower case, sometimes a proper sentence, seldom shouting."""
    style = rng.random()
    if style < 0.55:
        return text.lower()
    if style < 0.77:
        return text[0].upper() + text[1:] + "."
    return text if style < 0.97 else text.upper()


def _one(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
