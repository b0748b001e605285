"""Evaluate layers with a limited receptive field piece by piece, exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


class Windowed:
    """Runs `local` on a stream [B, D, t], with the same output as on the whole.

    `context` is how many frames the layers look to either side, `width` how many channels they
    make, and `ratio` how many outputs a frame makes. Outputs near a cut are wrong (the layers pad
    there) and are never returned: they are made again when the neighbouring frames are known.
    """

    def __init__(
        self, local: Callable[[Tensor], Tensor], context: int, width: int, ratio: int = 1
    ) -> None:
        self._local = local
        self._width = width
        self._context = context
        self._ratio = ratio
        self._frames: Tensor | None = None
        self._done = 0  # frames of the buffer whose output has been returned

    def push(self, frames: Tensor) -> Tensor:
        self._frames = frames if self._frames is None else torch.cat([self._frames, frames], -1)
        return self._run(self._frames, max(self._frames.shape[-1] - self._context, self._done))

    def finish(self) -> Tensor:
        if self._frames is None:
            raise ValueError("finish() before any frame was pushed")
        return self._run(self._frames, self._frames.shape[-1])

    def _run(self, frames: Tensor, until: int) -> Tensor:
        if until == self._done:
            return frames.new_zeros(frames.shape[0], self._width, 0)
        out = self._local(frames)[..., self._done * self._ratio : until * self._ratio].clone()
        drop = max(until - self._context, 0)
        self._frames, self._done = frames[..., drop:], until - drop
        return out


def blocks(length: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover `length`."""
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
