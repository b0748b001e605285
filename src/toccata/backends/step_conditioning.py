"""Per-step additive conditioning: embeddings added to the codes of each row and position."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class StepConditioningBuffer:
    """The embeddings [rows, positions, D] float32; allocated when a first request has any."""

    def __init__(self, dim: int, device: torch.device) -> None:
        self._table = torch.zeros(0, 0, dim, device=device)
        self._rows = self._positions = 0

    def open(
        self, row: int, rows: int, positions: int, step_conditioning: Sequence[Tensor | None]
    ) -> None:
        """Set the last positions of each row to its embeddings [S, D], and all others to zero."""
        self.reserve(row + rows, positions)
        by_row = {row + n: added for n, added in enumerate(step_conditioning) if added is not None}
        if not by_row and not len(self._table):
            return
        self._grow()
        self._table[row : row + rows] = 0
        for at, added in by_row.items():
            self._table[at, positions - len(added) : positions] = added

    def reserve(self, rows: int, positions: int) -> None:
        """Set the least number of rows and positions that the buffer has once it is allocated."""
        self._rows = max(self._rows, rows)
        self._positions = max(self._positions, positions)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the buffer; the first size is 0 until it is allocated."""
        return tuple(self._table.shape)

    def add_chunk(self, x: Tensor, row: int, start: int) -> None:
        """Add to x [R, S, D], which has positions `start` on of rows row .. row + R - 1."""
        if len(self._table):
            x += self._table[row : row + x.shape[0], start : start + x.shape[1]]

    def add_step(self, x: Tensor, rows: Tensor, positions: Tensor) -> None:
        """Add to x [R, D], which has one position of each of `rows`."""
        if len(self._table):
            x += self._table[rows, positions]

    def _grow(self) -> None:
        """Allocate all rows that were ever opened."""
        old = self._table
        if old.shape[:2] != (self._rows, self._positions):
            self._table = old.new_zeros(self._rows, self._positions, old.shape[2])
            self._table[: old.shape[0], : old.shape[1]] = old
