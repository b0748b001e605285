"""The delay pattern: codebook k is written d_k steps late, so that its prediction sees the
coarser codebooks of the same frame.

Three frames of four codebooks, delays 0 1 2 3, `.` being the special id:

    frame      0 1 2           step     0 1 2 3 4 5 6
    book 0     a b c           book 0   . a b c . . .
    book 1     d e f   apply   book 1   . . d e f . .
    book 2     g h i   ----->  book 2   . . . g h i .
    book 3     j k l           book 3   . . . . j k l

Step s holds frame s - 1 - d_k of codebook k. A model reads step s and predicts step s + 1, so
T frames take T + max(d) forward steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def steps_of(frames: int, delays: Sequence[int]) -> int:
    """Steps in the pattern of `frames` frames, the all-special first one included."""
    return frames + max(delays) + 1


def apply(codes: Tensor, delays: Sequence[int], special_id: int) -> Tensor:
    """codes [B, K, T] -> [B, K, T + max(d) + 1], `special_id` wherever no frame falls."""
    batch, books, frames = codes.shape
    steps = codes.new_full((batch, books, steps_of(frames, delays)), special_id)
    for book, delay in enumerate(delays):
        steps[:, book, 1 + delay : 1 + delay + frames] = codes[:, book]
    return steps


def undo(steps: Tensor, delays: Sequence[int]) -> Tensor:
    """The inverse of `apply`: [B, K, T + max(d) + 1] -> codes [B, K, T]."""
    frames = steps.shape[2] - 1 - max(delays)
    return _gather(steps, delays, first=1, frames=frames)


def undo_logits(logits: Tensor, delays: Sequence[int]) -> Tensor:
    """logits [B, K, T + max(d), card] of every step but the last -> [B, K, T, card] by frame."""
    frames = logits.shape[2] - max(delays)
    return _gather(logits, delays, first=0, frames=frames)


def _gather(steps: Tensor, delays: Sequence[int], first: int, frames: int) -> Tensor:
    rows = [
        steps[:, book, first + delay : first + delay + frames] for book, delay in enumerate(delays)
    ]
    return torch.stack(rows, dim=1)
