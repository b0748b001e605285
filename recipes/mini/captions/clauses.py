"""The clauses after the noun: the players, the tempo, the key, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recipes.mini.captions.chance import one, shuffled, weighted
from recipes.mini.captions.draft import Draft

# A clause in each of the ways to join it: {} is what it tells.
_PLAYERS: Mapping[str, tuple[str, ...]] = {
    "flowing": (
        " with {}", " with {}", " with {}", " featuring {}", " played on {}", " built on {}",
        " led by {}", " including {}", " using {}", " on {}",
    ),
    "comma": (", {}", ", {}", ", with {}", ", featuring {}"),
    "stop": (". {}", ". Instruments: {}", ". Use {}", ". There should be {}", ". Played on {}"),
    "dash": (" - {}", " - with {}"),
}  # fmt: skip
_BPM: Mapping[str, tuple[str, ...]] = {
    "flowing": (
        " at {} bpm", " at {} BPM", " at {} bpm", " at a tempo of {} bpm", " around {} bpm",
        " at {} beats per minute", " running at {}bpm",
    ),
    "comma": (", {} bpm", ", {} BPM", ", tempo {}", ", tempo: {}", ", {}bpm", ", at {} bpm"),
    "stop": (". Tempo: {} bpm", ". {} BPM", ". Tempo {}", ". Keep it at {} bpm", ". BPM: {}"),
    "dash": (" - {} bpm", " - tempo {}", " - {} BPM"),
}  # fmt: skip
_KEY: Mapping[str, tuple[str, ...]] = {
    "flowing": (" in {}", " in {}", " in {}", " in the key of {}"),
    "comma": (", {}", ", in {}", ", key of {}", ", key: {}", ", in the key of {}"),
    "stop": (". Key: {}", ". Key of {}", ". In {}", ". The key is {}"),
    "dash": (" - {}", " - key of {}"),
}
_DENIAL: Mapping[str, tuple[str, ...]] = {
    "flowing": (", {}", " and {}", ", {}", ", {} please", " but {}"),
    "comma": (", {}", ", {}", ", {} please", " ({})"),
    "stop": (". {}", ". {} please", ", {}"),
    "dash": (" - {}", ", {}"),
}
_METER: Mapping[str, tuple[str, ...]] = {
    "flowing": (", {}", " ({})"), "comma": (", {}",), "stop": (". {}", ", {}"), "dash": (" - {}",),
}  # fmt: skip
_ASIDE: Mapping[str, tuple[str, ...]] = {
    "flowing": (" {}", " {}", ", {}"),
    "comma": (", {}", " - {}", ", {}"),
    "stop": (". {}", ", {}"),
    "dash": (" - {}",),
}


def clauses(
    draft: Draft, bpm: int | None, key: str, joins: Mapping[str, float], rng: np.random.Generator,
    *, with_players: bool = True,
) -> str:  # fmt: skip
    """All that a noun phrase does not tell, mostly in one order; `bpm` and `key` are what is left
    of the draft's.
    """
    band = (*draft.players, draft.drums) if draft.drums else draft.players
    order = [(_PLAYERS, joined(band, rng) if with_players else "")]
    order += [(_BPM, str(bpm or "")), (_KEY, key), (_METER, draft.meter)]
    if rng.random() < 0.25:
        order = shuffled(rng, order)
    order += [(_DENIAL, denial) for denial in draft.denials]
    text = "".join(
        one(rng, forms[weighted(rng, joins)]).format(words) for forms, words in order if words
    )
    if not draft.aside:
        return text
    # "no guitar like walking home" would say something else.
    last = "comma" if draft.denials else weighted(rng, joins)
    return text + one(rng, _ASIDE[last]).format(draft.aside)


def joined(words: Sequence[str], rng: np.random.Generator) -> str:
    """ "flute, strings and piano", or the same without "and"."""
    if len(words) > 1 and rng.random() < 0.6:
        return ", ".join(words[:-1]) + one(rng, (" and ", " and ", " & ", " plus ")) + words[-1]
    return ", ".join(words)
