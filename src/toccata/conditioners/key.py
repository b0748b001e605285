"""Key conditioning: tonic, mode and scale, added at every step.

With text alone, small models do not learn the key: it is one or two words of the prompt, and music
shows it only over seconds.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from toccata.analysis.key import Key, Mode, parse_key

SCALES: dict[Mode, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
}
FEATURES = 12 + 12 + 12  # major tonics, minor tonics, notes of the scale

_LETTER = r"(?<![A-Za-z#])([A-G])"
_SIGN = r"(?:(#|♯|b|♭)|[\s-]+(sharp|flat))?"
_END = r"(?![\w#♯♭])"
# "a minor key change" names no key.
_NAMED = re.compile(
    rf"{_LETTER}{_SIGN}[\s-]*(?:maj(?:or)?|(min(?:or)?))\b(?!\s+(?:key|mode|scale|chord|third)\b)",
    re.IGNORECASE,
)
_TURNED = re.compile(
    rf"\b(?:maj(?:or)?|(min(?:or)?))\s+([B-G]|a(?=\s*(?:$|[^\s\w]))){_SIGN}{_END}", re.I
)
_TURNED_SIGNED = re.compile(rf"\b(?:major|(minor))\s+([A-G])\s?(#|♯|b|♭|sharp|flat){_END}", re.I)
_SHORT = re.compile(rf"\b(in|key(?: of| is)?\W*) ([A-G])([#♯b♭])?(m)?{_END}", re.IGNORECASE)
# "Am" alone may be the end of "I Am".
_ALONE = re.compile(rf"(?<!\bI )\b(?:([A-G])([#♯b♭])?|([a-g])([#♯b♭]))m{_END}")
_ACCIDENTALS = {"#": "#", "♯": "#", "sharp": "#", "b": "b", "♭": "b", "flat": "b"}


def named_key(prompt: str | None) -> Key | None:
    """Parse the key that a prompt names: "A minor", "f# maj", "B flat major", "minor eb", "in Am".

    Returns:
        The key; None if the prompt names none.
    """
    text = prompt or ""
    if match := _TURNED_SIGNED.search(text):
        minor, letter, sign = match.groups()
        return _key(letter, sign, bool(minor))
    if match := _NAMED.search(text):
        letter, sign, word, minor = match.groups()
        return _key(letter, sign or word, bool(minor))
    if match := _TURNED.search(text):
        minor, letter, sign, word = match.groups()
        return _key(letter, sign or word, bool(minor))
    if match := _SHORT.search(text):
        before, letter, sign, minor = match.groups()
        # "in a" is mostly an article, "in D" may be one letter of anything, "key of a" never is.
        if minor or sign or before.lower() != "in" or letter in "BCDEFG":
            return _key(letter, sign, bool(minor))
    if match := _ALONE.search(text):
        return _key(match[1] or match[3], match[2] or match[4], minor=True)
    return None


def key_row(key: Key) -> Tensor:
    """Return the features [FEATURES] float32: the key, one-hot, and the notes of its scale."""
    tonic, mode = key
    row = torch.zeros(FEATURES)
    row[tonic + 12 * (mode == "minor")] = 1.0
    row[[24 + (tonic + step) % 12 for step in SCALES[mode]]] = 1.0
    return row


def _key(letter: str, accidental: str | None, minor: bool) -> Key:
    sign = _ACCIDENTALS[accidental.lower()] if accidental else ""
    return parse_key(f"{letter.upper()}{sign} {'minor' if minor else 'major'}")
