"""Signals as rows of one flat array, with padding for the layers that read past their ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toccata.codecs.conv_matmul import to_half
from toccata.kernels.convolution import Numbers


@dataclass(frozen=True)
class Rows:
    """Rows [count, width] of a flat array, from index `start` on."""

    flat: Numbers
    start: int
    count: int
    width: int

    @classmethod
    def empty(cls, before: int, count: int, width: int, after: int, dtype: Any) -> Rows:
        """Allocate `count` rows, `before` rows before them and `after` numbers behind them."""
        return cls(np.empty((before + count) * width + after, dtype), before * width, count, width)

    @classmethod
    def of(cls, x: Tensor, before: int, after: int, dtype: Any) -> Rows:
        """Copy a signal x [D, T] float32 to rows, one per time step."""
        width, count = x.shape
        rows = cls.empty(before, count, width, after, dtype)
        numbers = x.T.contiguous().flatten()
        end = rows.start + len(numbers)
        rows.flat[rows.start : end] = to_half(numbers) if dtype == np.uint16 else numbers.numpy()
        return rows

    def tensor(self) -> Tensor:
        """Return float32 rows as a tensor [D, T]."""
        end = self.row(self.count)
        return torch.from_numpy(self.flat[self.start : end]).view(self.count, self.width).T

    def row(self, index: int) -> int:
        """Return the index at which a row starts."""
        return self.start + index * self.width

    def part(self, first: int, count: int) -> Rows:
        """Return a view of `count` rows from `first` on."""
        return Rows(self.flat, self.row(first), count, self.width)

    def padded(self, left: int, right: int, mode: str) -> int:
        """Fill `left` rows before and `right` rows behind with padding.

        Args:
            left: The number of rows before.
            right: The number of rows behind.
            mode: "constant" for zeros, "reflect" for the reflection.

        Returns:
            The index at which the padding begins.
        """
        for index in (*range(-left, 0), *range(self.count, self.count + right)):
            self._row(index)[:] = 0 if mode == "constant" else self._row(self._mirrored(index))
        return self.row(-left)

    def _row(self, index: int) -> Numbers:
        return self.flat[self.row(index) : self.row(index + 1)]

    def _mirrored(self, index: int) -> int:
        return -index if index < 0 else 2 * (self.count - 1) - index
