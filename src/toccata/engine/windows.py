"""The windows of clips that are longer than the segment of the model.

For a segment of 6 frames, a stride of 4 and a clip of 12 they are:

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
    """Frames offset .. offset + frames - 1 of a clip, of which the first `known` have codes."""

    offset: int
    frames: int
    known: int


def usable_prompt(prompt: int, new: int, segment: int, stride: int) -> int:
    """Return how many frames of a prompt fit into the first window beside new ones.

    Args:
        prompt: How many frames the prompt has.
        new: How many new frames are generated.
        segment: How many frames the model sees at most.
        stride: By how many frames the window moves.
    """
    return min(prompt, segment - min(stride, new))


def plan(prompt: int, new: int, segment: int, stride: int) -> Iterator[Window]:
    """Yield the windows of a clip in order.

    Args:
        prompt: How many frames are known, as `usable_prompt` returns.
        new: How many new frames are generated.
        segment: How many frames the model sees at most.
        stride: By how many frames the window moves.
    """
    total, known_to, offset = prompt + new, prompt, 0
    while known_to < total:
        end = min(offset + segment, total)
        yield Window(offset, end - offset, known_to - offset)
        known_to = end
        offset += stride
