"""The registers of captions: tags, sentences, briefs, requests, forms and prompts.

Every register says all of a draft, each thing once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recipes.mini.captions.asides import invented_name
from recipes.mini.captions.chance import one, shuffled
from recipes.mini.captions.clauses import clauses, joined
from recipes.mini.captions.draft import Draft
from recipes.mini.captions.tables import BPM_FORMS, BPM_LABELS

_NOUNS = ("track", "track", "song", "piece", "tune", "loop", "number", "composition")
_MASS_NOUNS = ("music", "music", "stuff", "background music", "melodies", "")
_BEAT_NOUNS = ("beat", "beat", "groove")  # only where drums are named
_FEELS = (
    " that sounds {}", " that feels {}", ", {} mood", ", {} vibe", " with a {} feel", ", {}",
    ", something {}", " with {} atmosphere", ". Mood: {}", " (think {})", ", very {}",
    ", kind of {}",
)  # fmt: skip
_MODES = ("major", "minor", "m", "maj", "min")
_SEPARATORS = (", ", ", ", ", ", ", ", ", ", " / ", " | ", "; ", " + ", " - ", ". ")


@dataclass(frozen=True)
class Register:
    """`openers` come first; with `article` they take a noun with "a", else a bare one."""

    openers: tuple[str, ...]
    article: bool
    joins: Mapping[str, float]  # how clauses follow the noun; keys as in `clauses`


SENTENCE = Register(
    ("", "", "this is", "here is", "a recording of", "it's", "we hear", "an example of"),
    article=True,
    joins={"flowing": 0.7, "comma": 0.25, "stop": 0.05},
)
REQUEST = Register(
    (
        "make me", "make", "give me", "i want", "i would like", "i'd like", "create", "generate",
        "please make", "please write", "compose", "write", "produce", "can you make", "i need",
        "could you do", "let's have", "play me", "let me hear", "we want", "build me", "do",
    ),
    article=True,
    joins={"flowing": 0.6, "comma": 0.3, "stop": 0.1},
)  # fmt: skip
SHORT = Register(
    (
        "need", "looking for", "we need", "wanted:", "brief:", "client wants", "searching for",
        "requesting", "in need of", "after", "hi, looking for", "we are after", "the idea is",
        "director asks for", "the scene needs", "hey I need",
    ),
    article=True,
    joins={"flowing": 0.2, "comma": 0.5, "stop": 0.2, "dash": 0.1},
)  # fmt: skip
PROMPT = Register(("",), article=False, joins={"flowing": 0.5, "comma": 0.35, "stop": 0.15})


def prose(draft: Draft, register: Register, rng: np.random.Generator) -> str:
    """A noun with its adjectives, then clauses for all else."""
    opener = one(rng, register.openers)
    if not opener and rng.random() < 0.05:
        opener = f"{invented_name(rng)}{one(rng, (':', ' -', ''))}"
    head, tail = _noun_phrase(draft, register.article and rng.random() < 0.85, rng)
    bpm, key = draft.bpm, draft.key
    if bpm and rng.random() < 0.3:
        head, bpm = f"{one(rng, BPM_FORMS).format(bpm)} {head}", None
    elif key.endswith(_MODES) and rng.random() < 0.2:  # "a major B tune" would be in A
        head, key = f"{key} {head}", ""
    if register.article and head.split()[-1] in (*_NOUNS, *_BEAT_NOUNS) and rng.random() < 0.92:
        head = f"{_article(head)} {head}"
    rest = clauses(draft, bpm, key, register.joins, rng)
    return f"{opener} {head}{tail}{rest}".strip()


def tags(draft: Draft, rng: np.random.Generator) -> str:
    """Facts side by side, now and then out of order; an adjective may join its noun."""
    head = {"tempo": draft.tempo, "mood": draft.mood, "genre": draft.genre}
    listed = {name: word for name, word in head.items() if word}
    if draft.genre:
        for adjective in ("mood", "tempo"):
            if adjective in listed and rng.random() < 0.5:
                listed["genre"] = f"{listed.pop(adjective)} {listed['genre']}"
    separator = one(rng, _SEPARATORS)
    rest = [
        joined(draft.players, rng),
        one(rng, ("{}", "{}", "with {}")).format(draft.drums) if draft.drums else "",
        one(rng, BPM_FORMS + BPM_LABELS).format(draft.bpm) if draft.bpm else "",
        one(rng, ("{}", "{}", "in {}", "key of {}", "key: {}")).format(draft.key)
        if draft.key
        else "",
        draft.meter,
        *draft.denials,
        draft.aside,
    ]
    order = [word for word in (*listed.values(), *rest) if word]
    return separator.join(shuffled(rng, order) if rng.random() < 0.4 else order)


def form(draft: Draft, rng: np.random.Generator) -> str:
    """Named fields: "Genre: jazz. Tempo: 120 bpm. Key: A minor"."""
    colon, separator = one(rng, (": ", ": ", "=", " - ")), one(rng, (", ", ". ", "; ", " | "))
    bpm = one(rng, BPM_FORMS).format(draft.bpm) if draft.bpm else ""
    fields = (
        (("genre", "style", "type"), draft.genre),
        (("mood", "feeling", "vibe"), draft.mood),
        (("tempo", "speed"), ", ".join(word for word in (draft.tempo, bpm) if word)),
        (("key", "scale", "tonality"), draft.key),
        (("meter", "time"), draft.meter.removeprefix("in ")),
        (("instruments", "instrumentation", "played by"), joined(draft.players, rng)),
        (("rhythm", "percussion section"), draft.drums),
        (("notes", "also"), ", ".join(word for word in (*draft.denials, draft.aside) if word)),
    )
    said = [f"{one(rng, names)}{colon}{word}" for names, word in fields if word]
    return separator.join(shuffled(rng, said) if rng.random() < 0.3 else said)


def scene(draft: Draft, rng: np.random.Generator) -> str:
    """The players come first: "flute and strings playing sad folk"."""
    if not draft.players:
        return prose(draft, PROMPT, rng)
    verb = one(rng, ("playing", "playing", "in", "over", "for", "on"))
    band = (*draft.players, draft.drums) if draft.drums else draft.players
    head, tail = _noun_phrase(draft, rng.random() < 0.6, rng)
    if head.split()[-1] in (*_NOUNS, *_BEAT_NOUNS):
        head = f"{_article(head)} {head}"
    rest = clauses(draft, draft.bpm, draft.key, PROMPT.joins, rng, with_players=False)
    return f"{joined(band, rng)} {verb} {head}{tail}{rest}"


def _noun_phrase(draft: Draft, counted: bool, rng: np.random.Generator) -> tuple[str, str]:
    """Adjectives, genre and noun, and what follows the noun of the mood."""
    adjectives = [word for word in (draft.tempo, draft.mood) if word]
    tail = ""
    if draft.mood and rng.random() < 0.3:
        adjectives.remove(draft.mood)
        tail = one(rng, _FEELS).format(draft.mood)
    if not draft.genre and adjectives and rng.random() < 0.4:
        return f"something {' and '.join(adjectives)}", tail
    noun = one(rng, _noun_choices(draft, counted))
    if not draft.genre:
        noun = noun or "music"
    words = [_series(adjectives, rng), draft.genre, "" if _has_noun(draft.genre) else noun]
    return " ".join(word for word in words if word), tail


def _noun_choices(draft: Draft, counted: bool) -> Sequence[str]:
    if not counted:
        return _MASS_NOUNS
    return _NOUNS + _BEAT_NOUNS if draft.named.drums else _NOUNS


def _has_noun(genre: str) -> bool:
    """Whether the genre's word needs no noun: "lo-fi beat", "house music"."""
    return bool(genre) and genre.rsplit(maxsplit=1)[-1] in (*_NOUNS, *_MASS_NOUNS, *_BEAT_NOUNS)


def _series(adjectives: Sequence[str], rng: np.random.Generator) -> str:
    order = shuffled(rng, adjectives)
    return one(rng, (" ", ", ", " and ")).join(order)


def _article(head: str) -> str:
    return "an" if head[0].lower() in "aeiou" or head.startswith("8") else "a"
