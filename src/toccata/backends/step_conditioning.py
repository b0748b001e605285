"""Per-step additive conditioning: what is added to the embedded codes of each row and position."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class StepConditioningBuffer:
    """[rows, positions, D] float32; takes no memory until a first request follows beats."""

    def __init__(self, dim: int, device: torch.device) -> None:
        self._table = torch.zeros(0, 0, dim, device=device)
        self._rows = self._positions = 0

    def open(
        self, row: int, rows: int, positions: int, step_conditioning: Sequence[Tensor | None]
    ) -> None:
        """Set the last positions of each row to its conditioning [S, D], all others to zeros."""
        self.reserve(row + rows, positions)
        given = {row + n: sums for n, sums in enumerate(step_conditioning) if sums is not None}
        if not given and not len(self._table):
            return
        self._grow()
        self._table[row : row + rows] = 0
        for at, sums in given.items():
            self._table[at, positions - len(sums) : positions] = sums

    def reserve(self, rows: int, positions: int) -> None:
        """Once there is a table, let it be at least so large."""
        self._rows = max(self._rows, rows)
        self._positions = max(self._positions, positions)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is added; its first size is 0 as long as that is nothing."""
        return tuple(self._table.shape)

    def add_chunk(self, x: Tensor, row: int, start: int) -> None:
        """Add to x [R, S, D], positions `start` on of rows row .. row + R - 1."""
        if len(self._table):
            x += self._table[row : row + x.shape[0], start : start + x.shape[1]]

    def add_step(self, x: Tensor, rows: Tensor, positions: Tensor) -> None:
        """Add to x [R, D], one position of each of `rows`."""
        if len(self._table):
            x += self._table[rows, positions]

    def _grow(self) -> None:
        """Make room for every row that was ever opened."""
        old = self._table
        if old.shape[:2] != (self._rows, self._positions):
            self._table = old.new_zeros(self._rows, self._positions, old.shape[2])
            self._table[: old.shape[0], : old.shape[1]] = old
