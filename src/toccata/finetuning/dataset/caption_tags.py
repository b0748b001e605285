"""Tempo and key in captions: is there one, and adding those that were heard."""

from __future__ import annotations

import re

from toccata.conditioners.beats import named_beats
from toccata.finetuning.dataset.items import Tags

# "F# minor", "bb major", "E-flat maj", "in Am", "key of D". "A minor change" is taken for one too:
# better no key than a wrong one.
_KEY = re.compile(
    r"\b[a-g](?:[#♯b♭]|[ -]?(?:sharp|flat))?[ -]?(?:major|minor|maj|min)\b"
    r"|\bkey\s*(?:of|:|is)\s*[a-g]\b"
    r"|\bin (?-i:[A-G])[#♯b♭]?m\b",
    re.IGNORECASE,
)


def names_tempo(caption: str) -> bool:
    return named_beats(caption) is not None


def names_key(caption: str) -> bool:
    return _KEY.search(caption) is not None


def add_tempo(caption: str, bpm: float | None) -> str:
    """The tempo at the end of a caption that names none, as mini's own captions have it."""
    return caption if bpm is None or names_tempo(caption) else _joined(caption, f"{bpm:.0f} bpm")


def add_key(caption: str, key: str | None) -> str:
    """The same for the key."""
    return caption if key is None or names_key(caption) else _joined(caption, key)


def add_tags(caption: str, tags: Tags) -> str:
    """Tempo and key, where they were heard and the caption does not say."""
    return add_key(add_tempo(caption, tags.bpm), tags.key)


def _joined(caption: str, tag: str) -> str:
    """A full stop at the end of a sentence makes way for the comma."""
    return f"{caption.rstrip(' .,;')}, {tag}" if caption else tag
