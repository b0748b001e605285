"""The windows of clips that are longer than the segment of the model.

A segment of 6 frames, a stride of 4, a clip of 12:

    frame      0 1 2 3 4 5 6 7 8 9 . .
    window 0   n n n n n n                  n: new
    window 1           k k n n n n          k: known from the window before, its context
    window 2                   k k n n
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Frames offset .. offset + frames - 1 of a clip, the first `known` of them given."""

    offset: int
    frames: int
    known: int


def usable_prompt(prompt: int, new: int, segment: int, stride: int) -> int:
    """How many of `prompt` frames can condition: the first window must have room for new ones."""
    return min(prompt, segment - min(stride, new))


def plan(prompt: int, new: int, segment: int, stride: int) -> Iterator[Window]:
    """The windows over `prompt` known frames (usable_prompt of them) and `new` ones, in order."""
    total, known_to, offset = prompt + new, prompt, 0
    while known_to < total:
        end = min(offset + segment, total)
        yield Window(offset, end - offset, known_to - offset)
        known_to = end
        offset += stride
