"""The key-value cache: [2, rows, heads, positions, head_dim] for each layer, allocated once.

It grows to the largest request seen and is then reused, so that memory stays flat however many
requests follow.
"""

from __future__ import annotations

import torch
from torch import Tensor


class KVCache:
    """`layers[i][0]` are the keys of layer i, `layers[i][1]` the values.

    Lengths are rounded up to whole buckets of `bucket` positions: rows of one bucket are attended
    together, and a row's bucket follows from its own length alone. `moves` counts how often a layer
    was put elsewhere.
    """

    def __init__(self, layers: int, heads: int, head_dim: int, bucket: int, like: Tensor) -> None:
        self.bucket = bucket
        self.moves = 0
        self.layers: list[Tensor] = [like.new_zeros(2, 0, heads, 0, head_dim)] * layers

    def round_up(self, length: int) -> int:
        return -(-length // self.bucket) * self.bucket

    @property
    def rows(self) -> int:
        return self.layers[-1].shape[1]

    @property
    def positions(self) -> int:
        return self.layers[-1].shape[3]

    def bytes_for(self, rows: int, positions: int) -> int:
        """Of one layer."""
        _, _, heads, _, head_dim = self.layers[0].shape
        return 2 * rows * heads * positions * head_dim * self.layers[0].element_size()

    def open(self, row: int, rows: int, positions: int) -> None:
        """Make room for `positions` in rows row .. row + rows - 1, and zero them.

        Zeros matter: a masked key counts for nothing only if its value is finite, and the row's
        last owner may have ended on nan.
        """
        self.reserve(row + rows, positions)
        for layer in self.layers:
            layer[:, row : row + rows, :, : self.round_up(positions)] = 0

    def write(self, layer: int, rows: slice, start: int, keys: Tensor, values: Tensor) -> None:
        """Store keys and values [R, heads, S, head_dim] at positions start .. start + S - 1."""
        end = start + keys.shape[2]
        self.layers[layer][0, rows, :, start:end] = keys
        self.layers[layer][1, rows, :, start:end] = values

    def reserve(self, rows: int, positions: int) -> None:
        """Make room for `positions` in the first `rows`, at least; what is stored stays.

        If memory ends on the way, what was there is still right, and another call can go on.
        """
        _, old_rows, heads, old_positions, head_dim = self.layers[0].shape
        longest = max(self.round_up(positions), old_positions)
        shape = (2, max(rows, old_rows), heads, longest, head_dim)
        # One layer at a time: the peak is one layer above the new size, not the old size more.
        for index, layer in enumerate(self.layers):
            if layer.shape != shape:
                self.layers[index] = _grown(layer, shape)
                self.moves += 1


def _grown(old: Tensor, shape: tuple[int, ...]) -> Tensor:
    new = torch.zeros(shape, dtype=old.dtype, device=old.device)
    new[:, : old.shape[1], :, : old.shape[3]] = old
    return new
