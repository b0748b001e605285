"""True statements of what a song does not have."""

from __future__ import annotations

import numpy as np

from recipes.mini.captions.chance import one, shuffled
from recipes.mini.captions.tables import NO_DRUMS
from recipes.mini.captions.vocabulary import generic_word, instrument_words
from recipes.mini.composer.composition import Facts
from recipes.mini.composer.instruments import INSTRUMENTS

_NO_VOICE_SHARE, _ABSENT_SHARE = 0.07, 0.06
_NO_VOICE = ("no vocals", "instrumental", "without vocals", "no singing", "instrumental only")
_VOICE_TOKENS = frozenset({"choir", "choral", "voice", "voices", "vocal", "vocals"})
_FORMS = ("no {}", "no {}", "without {}", "without any {}", "{}-free", "minus the {}")


def denials(facts: Facts, playing: bool | None, rng: np.random.Generator) -> tuple[str, ...]:
    """Now and then that nobody sings, or that some instrument is missing; without drums, where
    `playing` is False, always that.
    """
    said = [one(rng, NO_DRUMS)] if playing is False else []
    if rng.random() < _NO_VOICE_SHARE and not _is_sung(facts):
        said.append(one(rng, _NO_VOICE))
    if rng.random() < _ABSENT_SHARE and (word := _absent(facts, rng)):
        said.append(one(rng, _FORMS).format(word))
    return tuple(shuffled(rng, said))


def _absent(facts: Facts, rng: np.random.Generator) -> str:
    """An instrument that shares neither a word nor a family with any that plays; "" for none."""
    present = _tokens(facts)
    families = {_family(name) for name in facts.instruments} - {""}
    for name in shuffled(rng, tuple(INSTRUMENTS))[:6]:
        word = generic_word(name) or name
        if _family(name) not in families and not _tokens_of(name) & present:
            return word
    return ""


def _is_sung(facts: Facts) -> bool:
    voices = any(_family(name) == "voice" for name in facts.instruments)
    return voices or bool(_tokens(facts) & _VOICE_TOKENS)


def _family(name: str) -> str:
    return INSTRUMENTS[name].family if name in INSTRUMENTS else ""


def _tokens(facts: Facts) -> set[str]:
    return {token for name in facts.instruments for token in _tokens_of(name)}


def _tokens_of(name: str) -> set[str]:
    return {token for word in (name, *instrument_words().get(name, ())) for token in word.split()}
