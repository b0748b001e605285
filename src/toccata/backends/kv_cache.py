"""The key-value cache: [2, rows, heads, positions, head_dim] for each layer, allocated once.

It grows to the largest request so far and is then reused, so that memory does not grow with the
number of requests.
"""

from __future__ import annotations

import torch
from torch import Tensor


class KVCache:
    """Keys and values of all positions, by layer and row.

    Lengths are rounded up to multiples of `bucket`: rows with the same rounded length are attended
    to in one call, and this length follows from the row's own positions alone.

    Args:
        layers: The number of layers.
        heads: The number of attention heads.
        head_dim: The width of a head.
        bucket: The number of positions that lengths are rounded up to.
        like: A tensor of the device and dtype.

    Attributes:
        layers: layers[i][0] has the keys of layer i, layers[i][1] the values.
        moves: How often a layer was allocated anew.
    """

    def __init__(self, layers: int, heads: int, head_dim: int, bucket: int, like: Tensor) -> None:
        self.bucket = bucket
        self.moves = 0
        self.layers: list[Tensor] = [like.new_zeros(2, 0, heads, 0, head_dim)] * layers

    def round_up(self, length: int) -> int:
        """Round a number of positions up to a multiple of the bucket."""
        return -(-length // self.bucket) * self.bucket

    @property
    def rows(self) -> int:
        return self.layers[-1].shape[1]

    @property
    def positions(self) -> int:
        return self.layers[-1].shape[3]

    def bytes_for(self, rows: int, positions: int) -> int:
        """Return the bytes of one layer with so many rows and positions."""
        _, _, heads, _, head_dim = self.layers[0].shape
        return 2 * rows * heads * positions * head_dim * self.layers[0].element_size()

    def open(self, row: int, rows: int, positions: int) -> None:
        """Reserve `positions` in rows row .. row + rows - 1, and set them to zero.

        A masked position has no effect only if its value is finite, and the last request of the row
        may have left nan.
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
        """Allocate at least `positions` in the first `rows`, and keep what is stored.

        If memory runs out, stored keys and values are still valid, and the call can be repeated.
        """
        _, old_rows, heads, old_positions, head_dim = self.layers[0].shape
        longest = max(self.round_up(positions), old_positions)
        shape = (2, max(rows, old_rows), heads, longest, head_dim)
        # Layers grow one by one, so that the peak is the new size and one layer, not old and new.
        for index, layer in enumerate(self.layers):
            if layer.shape != shape:
                self.layers[index] = _grown(layer, shape)
                self.moves += 1


def _grown(old: Tensor, shape: tuple[int, ...]) -> Tensor:
    new = torch.zeros(shape, dtype=old.dtype, device=old.device)
    new[:, : old.shape[1], :, : old.shape[3]] = old
    return new
