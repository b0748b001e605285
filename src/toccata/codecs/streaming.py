"""Run layers with a limited receptive field on a stream, with the same result as on the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


class Windowed:
    """Runs layers on a stream [B, D, t], with the same output as on the whole.

    Outputs near the end of what is known are wrong, because the layers pad there. They are not
    returned, but computed again when the next frames are known.

    Args:
        local: The layers.
        context: The receptive field to either side, in frames.
        width: The number of output channels.
        ratio: The number of outputs per frame.
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
            raise ValueError("finish() was called before any frame was pushed")
        return self._run(self._frames, self._frames.shape[-1])

    def _run(self, frames: Tensor, until: int) -> Tensor:
        if until == self._done:
            return frames.new_zeros(frames.shape[0], self._width, 0)
        out = self._local(frames)[..., self._done * self._ratio : until * self._ratio].clone()
        drop = max(until - self._context, 0)
        self._frames, self._done = frames[..., drop:], until - drop
        return out


def blocks(length: int, size: int) -> Iterator[slice]:
    """Yield consecutive slices of at most `size` that cover `length`."""
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
