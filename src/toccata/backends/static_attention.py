"""Attention to the cache in fixed shapes, which graph capture needs.

A row's bits depend only on its own query, keys and values, not on the number of rows or of masked
positions. torch's memory-efficient kernel ensures this by its design: one block of threads per row
and head reads the keys in order, and a masked key has a weight of exactly zero. The flash kernels
divide their work by the number of rows and keys instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.backends.kv_cache import KVCache


@dataclass(frozen=True)
class Size:
    """The shape of a step that is captured as a graph.

    Attributes:
        rows: How many rows of the cache are computed, from the first one on.
        batch: How many rows a matrix product has, at least `rows`.
        length: How many positions are attended to.
    """

    rows: int
    batch: int
    length: int


@dataclass(frozen=True, eq=False)
class StaticAttention:
    """Attention with one query for each of the first rows; the batch's other rows get zeros.

    `mask` [rows, 1, 1, length] and `memory_mask` [rows, 1, 1, L] have the cache's dtype, and are 0
    where there is a key, else -inf.
    """

    cache: KVCache
    memory: KVCache
    size: Size
    row_numbers: Tensor  # [rows] 0, 1, 2, ...
    positions: Tensor  # [rows]
    mask: Tensor
    memory_mask: Tensor

    def to_self(self, layer: int, qkv: Tensor) -> Tensor:
        """Store the new keys and values, and attend: qkv [batch, 3 D] -> [batch, D]."""
        cache = self.cache.layers[layer]
        split = qkv[: self.size.rows].view(-1, 3, cache.shape[2], cache.shape[4])
        cache[:, self.row_numbers, :, self.positions] = split[:, 1:]
        seen = self._keys_and_values(cache, self.size.length)
        return self._padded(attend(split[:, 0], *seen, self.mask))

    def to_memory(self, layer: int, query: Tensor) -> Tensor:
        """Attend to the keys and values of the text: query [batch, D] -> [batch, D]."""
        memory = self.memory.layers[layer]
        split = query[: self.size.rows].view(-1, memory.shape[2], memory.shape[4])
        seen = self._keys_and_values(memory, memory.shape[3])
        return self._padded(attend(split, *seen, self.memory_mask))

    def _keys_and_values(self, cache: Tensor, length: int) -> tuple[Tensor, Tensor]:
        rows = self.size.rows
        return cache[0, :rows, :, :length], cache[1, :rows, :, :length]

    def _padded(self, x: Tensor) -> Tensor:
        return pad_rows(x, self.size.batch)


def pad_rows(x: Tensor, rows: int) -> Tensor:
    """Append rows of zeros: x [R, D] -> [rows, D]."""
    # F.pad would copy even if there is nothing to append.
    return x if len(x) == rows else F.pad(x, (0, 0, 0, rows - len(x)))


def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Attend with one query per row.

    Args:
        query: [R, heads, width].
        keys: [R, heads, L, width]; on a GPU L must be a multiple of 8.
        values: [R, heads, L, width].
        mask: [R, 1, 1, L], 0 where there is a key, else -inf.

    Returns:
        [R, D], D = heads * width.
    """
    if not query.is_cuda:
        return _attend_plainly(query, keys, values, mask)
    wide = mask.expand(-1, query.shape[1], -1, -1)
    fused = torch.ops.aten._scaled_dot_product_efficient_attention
    out: Tensor = fused(query.unsqueeze(2), keys, values, wide, False)[0]
    return out.reshape(len(query), -1)


def _attend_plainly(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    scale = 1.0 / math.sqrt(query.shape[2])
    scores = (query.unsqueeze(2) @ keys.transpose(2, 3)) * scale + mask
    return (scores.softmax(-1) @ values).flatten(1)


def mask_beyond(lengths: Tensor, positions: Tensor, dtype: torch.dtype) -> Tensor:
    """Mask the positions after each row's last one.

    Args:
        lengths: The number of positions that each row holds, [R].
        positions: 0, 1, 2, ..., [L].
        dtype: The dtype of the mask.

    Returns:
        [R, 1, 1, L], 0 before a row's length and -inf from there on.
    """
    beyond = positions >= lengths[:, None]
    mask = torch.zeros(beyond.shape, dtype=dtype, device=beyond.device)
    return mask.masked_fill_(beyond, -math.inf)[:, None, None]
