"""The delay pattern (Copet et al. 2023, section 2.2): codebook k is delayed by d_k steps.

A codebook's prediction can then use the codes of the coarser codebooks of the same frame. Three
frames of four codebooks with delays 0 1 2 3, where `.` is the special code:

    frame      0 1 2           step     0 1 2 3 4 5 6
    book 0     a b c           book 0   . a b c . . .
    book 1     d e f   apply   book 1   . . d e f . .
    book 2     g h i   ----->  book 2   . . . g h i .
    book 3     j k l           book 3   . . . . j k l

Step s has frame s - 1 - d_k of codebook k. A model reads step s and predicts step s + 1, so that T
frames take T + max(d) forward steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def steps_of(frames: int, delays: Sequence[int]) -> int:
    """Return the number of steps for `frames` frames, including the first, all-special one."""
    return frames + max(delays) + 1


def apply(codes: Tensor, delays: Sequence[int], special_id: int) -> Tensor:
    """Delay codes [B, K, T] -> [B, K, T + max(d) + 1], with `special_id` where no frame is."""
    batch, books, frames = codes.shape
    steps = codes.new_full((batch, books, steps_of(frames, delays)), special_id)
    for book, delay in enumerate(delays):
        steps[:, book, 1 + delay : 1 + delay + frames] = codes[:, book]
    return steps


def undo(steps: Tensor, delays: Sequence[int]) -> Tensor:
    """Invert `apply`: [B, K, T + max(d) + 1] -> codes [B, K, T]."""
    frames = steps.shape[2] - 1 - max(delays)
    return _gather(steps, delays, first=1, frames=frames)


def undo_logits(logits: Tensor, delays: Sequence[int]) -> Tensor:
    """Order logits by frame: [B, K, T + max(d), card] without the last step -> [B, K, T, card]."""
    frames = logits.shape[2] - max(delays)
    return _gather(logits, delays, first=0, frames=frames)


def _gather(steps: Tensor, delays: Sequence[int], first: int, frames: int) -> Tensor:
    rows = [
        steps[:, book, first + delay : first + delay + frames] for book, delay in enumerate(delays)
    ]
    return torch.stack(rows, dim=1)
