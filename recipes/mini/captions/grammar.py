"""Write one caption of a song: a draft of some facts in a random register."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recipes.mini.captions.asides import aside
from recipes.mini.captions.caption import Caption, NamedFacts
from recipes.mini.captions.chance import one, weighted
from recipes.mini.captions.draft import Draft, draft
from recipes.mini.captions.registers import (
    PROMPT,
    REQUEST,
    SENTENCE,
    SHORT,
    form,
    prose,
    scene,
    tags,
)
from recipes.mini.captions.spelling import typed
from recipes.mini.captions.templates import filled
from recipes.mini.composer.composition import Facts

_TEMPLATE_SHARE = 0.2  # of captions, where the user gave templates
_CAREFUL_SHARE = 0.95  # of captions in which genre and instruments are spelt as they are
_NEVER_MISSPELT = (
    "tempo", "beats", "minute", "major", "minor", "without", "minus", "zero", "leave", "free",
)  # fmt: skip
_PROSE = {"sentence": SENTENCE, "request": REQUEST, "brief": SHORT, "prompt": PROMPT}
_REGISTERS = {
    "tags": 0.36, "sentence": 0.14, "request": 0.13, "brief": 0.12, "prompt": 0.14, "form": 0.04,
    "scene": 0.07,
}  # fmt: skip


def caption(facts: Facts, rng: np.random.Generator) -> str:
    """The text of `write_caption`."""
    return write_caption(facts, rng).text


def write_caption(facts: Facts, rng: np.random.Generator, templates: Sequence[str] = ()) -> Caption:
    """Write a caption of a song; one in a hundred names no fact.

    One in five fills one of `templates` (see `read_templates`), if there is one whose facts the
    song has.
    """
    if templates and rng.random() < _TEMPLATE_SHARE:
        of_user = filled(one(rng, templates), facts, rng)
        if of_user:
            return of_user
    words = draft(facts, rng)
    text = _put(words, rng)
    if not text:
        return Caption(typed(_asides(rng), rng), NamedFacts())
    return Caption(typed(text, rng, _kept(words, rng)), words.named)


def _put(words: Draft, rng: np.random.Generator) -> str:
    if words == Draft(aside=words.aside):
        return words.aside
    register = weighted(rng, _REGISTERS)
    if register in _PROSE:
        return prose(words, _PROSE[register], rng)
    return {"tags": tags, "form": form, "scene": scene}[register](words, rng)


def _asides(rng: np.random.Generator) -> str:
    return aside(rng) or "anything"


def _kept(words: Draft, rng: np.random.Generator) -> str:
    """What is not misspelt: tempi, keys and denials never, genre and instruments seldom."""
    names = (words.genre, *words.players) if rng.random() < _CAREFUL_SHARE else ()
    return " ".join((words.key, *_NEVER_MISSPELT, *names))
