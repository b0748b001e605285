"""Captions of the user's own, with places for facts: "{bpm} bpm {genre} for our show"."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter

import numpy as np

from recipes.mini.captions import tables
from recipes.mini.captions.caption import Caption, NamedFacts
from recipes.mini.captions.chance import one
from recipes.mini.captions.vocabulary import genre_words, instrument_words
from recipes.mini.composer.composition import Facts
from recipes.mini.composer.instruments import KITS
from toccata.errors import InputError

PLACEHOLDERS = ("bpm", "drums", "genre", "instruments", "key", "lead", "meter", "mood", "tempo")
_CURE = f"use {', '.join(f'{{{name}}}' for name in PLACEHOLDERS)}, and {{{{ for a brace"


def read_templates(folder: Path) -> tuple[str, ...]:
    """The templates of a folder: the lines of its .txt files (but for empty ones and those that
    begin with "#"), and the "text" of every line of its .jsonl files. One such file will do too.

    Raises InputError, naming file and line, for a placeholder that is not in PLACEHOLDERS, for a
    brace without its other, for a line that is no {"text": "..."}, and if there is no template.
    """
    files = [folder] if folder.is_file() else sorted(folder.glob("*.txt"))
    files += [] if folder.is_file() else sorted(folder.glob("*.jsonl"))
    found = tuple(template for path in files for template in _templates(path))
    if not found:
        raise InputError("captions", str(folder), "name a folder of .txt or .jsonl files with text")
    return found


def filled(template: str, facts: Facts, rng: np.random.Generator) -> Caption | None:
    """A template with the song's facts; None if it asks for one that the song has not."""
    names = frozenset(_fields(template))
    values = _values(facts, rng)
    if any(not values[name] for name in names):
        return None
    return Caption(template.format(**values), _told(names, facts))


def _templates(path: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.name}:{number}"
        text = _text_of(line, where) if path.suffix == ".jsonl" else line
        if text.strip() and not line.startswith("#"):
            _check(text.strip(), where)
            yield text.strip()


def _text_of(line: str, where: str) -> str:
    if not line.strip():
        return ""
    try:
        text = json.loads(line)["text"]
    except (ValueError, TypeError, KeyError):
        text = None
    if not isinstance(text, str):
        raise InputError(where, line, 'write one {"text": "..."} a line')
    return text


def _check(template: str, where: str) -> None:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise InputError(where, template, _CURE) from error
    for _, name, form, conversion in parts:
        if name is not None and (name not in PLACEHOLDERS or form or conversion):
            raise InputError(where, f"{{{name}}}", _CURE)


def _fields(template: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(template) if name is not None]


def _values(facts: Facts, rng: np.random.Generator) -> Mapping[str, str]:
    """Of every placeholder; "" where the song has no such fact."""
    players = [one(rng, instrument_words().get(name, (name,))) for name in facts.instruments]
    kit = KITS[facts.kit].words if facts.kit in KITS else ("drums",)
    return {
        "bpm": str(facts.bpm),
        "drums": one(rng, kit if facts.drums else tables.NO_DRUMS),
        "genre": one(rng, genre_words().get(facts.genre, (facts.genre,))),
        "instruments": ", ".join(players),
        "key": one(rng, tables.key_forms(facts.key)) if facts.key else "",
        "lead": players[0] if players else "",
        "meter": facts.meter,
        "mood": facts.mood,
        "tempo": one(rng, tables.TEMPO_WORDS[tables.tempo_class(facts.bpm)]),
    }


def _told(names: frozenset[str], facts: Facts) -> NamedFacts:
    return NamedFacts(
        genre=facts.genre if "genre" in names else "",
        lead=facts.instruments[0] if names & {"lead", "instruments"} else "",
        mode=facts.key.split()[1] if "key" in names else "",
        key=facts.key if "key" in names else "",
        bpm=facts.bpm if "bpm" in names else None,
        drums=facts.drums if "drums" in names else None,
        mood=facts.mood if "mood" in names else "",
    )
