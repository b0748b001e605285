"""Find tempo and key in captions, and add detected ones."""

from __future__ import annotations

import re

from toccata.conditioners.beats import named_beats
from toccata.finetuning.dataset.items import Tags

# "F# minor", "bb major", "E-flat maj", "in Am", "key of D". "A minor change" matches too: a missing
# key is better than a wrong one.
_KEY = re.compile(
    r"\b[a-g](?:[#♯b♭]|[ -]?(?:sharp|flat))?[ -]?(?:major|minor|maj|min)\b"
    r"|\bkey\s*(?:of|:|is)\s*[a-g]\b"
    r"|\bin (?-i:[A-G])[#♯b♭]?m\b",
    re.IGNORECASE,
)


def names_tempo(caption: str) -> bool:
    """Whether a caption names a tempo."""
    return named_beats(caption) is not None


def names_key(caption: str) -> bool:
    """Whether a caption names a key, in one of many spellings."""
    return _KEY.search(caption) is not None


def add_tempo(caption: str, bpm: float | None) -> str:
    """Append the tempo to a caption that names none, as in mini's own captions."""
    return caption if bpm is None or names_tempo(caption) else _joined(caption, f"{bpm:.0f} bpm")


def add_key(caption: str, key: str | None) -> str:
    """Append the key to a caption that names none."""
    return caption if key is None or names_key(caption) else _joined(caption, key)


def add_tags(caption: str, tags: Tags) -> str:
    """Append detected tempo and key to a caption that names none."""
    return add_key(add_tempo(caption, tags.bpm), tags.key)


def _joined(caption: str, tag: str) -> str:
    """A full stop at the end of a sentence makes way for the comma."""
    return f"{caption.rstrip(' .,;')}, {tag}" if caption else tag
