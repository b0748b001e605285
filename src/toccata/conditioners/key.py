"""Key conditioning: the tonic and the mode, which the LM is told at every step.

A key is named by two small words at most, and what tells it in the music is spread over seconds:
a small model hears neither unless it is told again and again.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from toccata.hearing.key import Key, Mode, parse_key

SCALES: dict[Mode, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
}
FEATURES = 12 + 12 + 12  # major tonics, minor tonics, notes of the scale

_TONIC = r"(?<![A-Za-z#])([A-G])(?:\s*(#|♯|b|♭)|[\s-]+(sharp|flat))?"
_MODES = r"(?:(maj(?:or)?)|(min(?:or)?))\b"
# "a minor key change" names no key.
_NAMED = re.compile(rf"{_TONIC}[\s-]*{_MODES}(?!\s+(?:key|mode|scale|chord|third))", re.IGNORECASE)
# "Am" alone may be the end of "I Am": it needs a word before it.
_SHORT = re.compile(r"\b(?:[Ii]n|[Kk]ey(?: of)?:?) ([A-G])([#♯b♭])?(m)?(?![\w#♯♭])")
_ACCIDENTALS = {"#": "#", "♯": "#", "sharp": "#", "b": "b", "♭": "b", "flat": "b"}


def named_key(prompt: str | None) -> Key | None:
    """The first key that a prompt names: "A minor", "f# maj", "B flat major", "in Am"."""
    if match := _NAMED.search(prompt or ""):
        letter, sign, word, _, minor = match.groups()
        return _key(letter, sign or word, bool(minor))
    if match := _SHORT.search(prompt or ""):
        letter, sign, minor = match.groups()
        # "in A" is mostly an article that lost its noun.
        return _key(letter, sign, bool(minor)) if minor or sign or letter != "A" else None
    return None


def key_row(key: Key) -> Tensor:
    """[FEATURES] float32: which key it is, and which pitch classes are of its scale."""
    tonic, mode = key
    row = torch.zeros(FEATURES)
    row[tonic + 12 * (mode == "minor")] = 1.0
    row[[24 + (tonic + step) % 12 for step in SCALES[mode]]] = 1.0
    return row


def _key(letter: str, accidental: str | None, minor: bool) -> Key:
    sign = _ACCIDENTALS[accidental.lower()] if accidental else ""
    return parse_key(f"{letter.upper()}{sign} {'minor' if minor else 'major'}")
