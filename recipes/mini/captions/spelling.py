"""Captions as people type them: in lower case, with slips of the finger and stray marks."""

from __future__ import annotations

import re

import numpy as np

from recipes.mini.captions.chance import one
from recipes.mini.captions.vocabulary import meaning_tokens

_CARELESS_SHARE = 0.4  # of captions; in these a word of four letters or more slips
_SLIP_SHARE = 0.16  # as often as this
_NOISE_SHARE = 0.08
# Nothing that touches a digit or a sharp: "92bpm", "C#m".
_WORD = re.compile(r"(?<![\w#/-])[^\W\d_]{4,}(?![\w#/-])")
_MARKS = ("!", "!!", "!!!", "...", "..", " ...", ";", ",", " -", " .")


def typed(text: str, rng: np.random.Generator, kept: str = "") -> str:
    """`text` with slips, case and marks. The words of `kept` are spelt as they are."""
    return _noise(_case(_slips(text, rng, kept), rng), rng)


def _slips(text: str, rng: np.random.Generator, kept: str) -> str:
    if rng.random() >= _CARELESS_SHARE:
        return text
    spared = set(re.findall(r"[^\W\d_]+", kept.casefold()))

    def replaced(match: re.Match[str]) -> str:
        word = match[0]
        if word.casefold() in spared or rng.random() >= _SLIP_SHARE:
            return word
        slip = _slip(word, rng)
        return word if slip.casefold() in meaning_tokens() else slip

    return _WORD.sub(replaced, text)


def _slip(word: str, rng: np.random.Generator) -> str:
    """A letter swapped with the next, dropped or doubled; never the first."""
    at = int(rng.integers(1, len(word) - 1))
    head, letter, tail = word[:at], word[at], word[at + 1 :]
    swapped = head + tail[0] + letter + tail[1:]
    return one(rng, (swapped, head + tail, head + letter + letter + tail))


def _case(text: str, rng: np.random.Generator) -> str:
    """Mostly lower case, sometimes a proper sentence, seldom shouting."""
    style = rng.random()
    if style < 0.6:
        return text.lower()
    if style < 0.8:
        return text[:1].upper() + text[1:] + "." * (not text.endswith("."))
    return text if style < 0.96 else text.upper()


def _noise(text: str, rng: np.random.Generator) -> str:
    """A mark too many at the end, or no commas between words."""
    if rng.random() >= _NOISE_SHARE:
        return text
    if rng.random() < 0.4:
        return re.sub(r"(?<=[^\W\d]), (?=[^\W\d])", " ", text)
    return text.rstrip(".") + one(rng, _MARKS)
