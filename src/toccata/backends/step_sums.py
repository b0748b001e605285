"""What is added to each position of each row: the conditions that a request follows by step."""

from __future__ import annotations

import torch
from torch import Tensor


class StepSums:
    """[rows, positions, D] float32; takes no memory until a first request follows beats."""

    def __init__(self, dim: int, device: torch.device) -> None:
        self._table = torch.zeros(0, 0, dim, device=device)
        self._rows = self._positions = 0

    def open(self, row: int, rows: int, positions: int, step_sums: Tensor | None) -> None:
        """Set the last positions of `row` to `step_sums` [S, D], all else of `rows` to nothing."""
        self._rows = max(self._rows, row + rows)
        self._positions = max(self._positions, positions)
        if step_sums is None and not len(self._table):
            return
        self._grow()
        self._table[row : row + rows] = 0
        if step_sums is not None:
            self._table[row, positions - len(step_sums) : positions] = step_sums

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
