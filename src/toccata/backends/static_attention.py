"""Attention to the cache in fixed shapes, which graph capture needs.

A row's bits follow from its own query, keys and values: not from how many rows there are, nor from
how many masked positions follow its own. torch's memory-efficient kernel gives that by its build:
one block of threads per row and head, which goes through the keys in order, a masked key weighing
exactly nothing. The flash kernels divide their work by the number of rows and keys instead.
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
    """What a step is recorded for.

    rows: of the cache that are stepped, the first ones. batch: rows in a matrix product, at least
    as many. length: positions that are attended to.
    """

    rows: int
    batch: int
    length: int


@dataclass(frozen=True, eq=False)
class StaticAttention:
    """One query for each of the first rows of the cache; the batch's other rows get zeros.

    mask [rows, 1, 1, length] and memory_mask [rows, 1, 1, L] in the cache's dtype: 0 where there is
    a key, else -inf.
    """

    cache: KVCache
    memory: KVCache
    size: Size
    row_numbers: Tensor  # [rows] 0, 1, 2, ...
    positions: Tensor  # [rows]
    mask: Tensor
    memory_mask: Tensor

    def to_self(self, layer: int, qkv: Tensor) -> Tensor:
        """qkv [batch, 3 D] -> [batch, D]; the new keys and values are stored."""
        cache = self.cache.layers[layer]
        split = qkv[: self.size.rows].view(-1, 3, cache.shape[2], cache.shape[4])
        cache[:, self.row_numbers, :, self.positions] = split[:, 1:]
        return self._padded(attend(split[:, 0], *self._seen(cache, self.size.length), self.mask))

    def to_memory(self, layer: int, query: Tensor) -> Tensor:
        """query [batch, D] -> [batch, D]."""
        memory = self.memory.layers[layer]
        split = query[: self.size.rows].view(-1, memory.shape[2], memory.shape[4])
        seen = self._seen(memory, memory.shape[3])
        return self._padded(attend(split, *seen, self.memory_mask))

    def _seen(self, cache: Tensor, length: int) -> tuple[Tensor, Tensor]:
        rows = self.size.rows
        return cache[0, :rows, :, :length], cache[1, :rows, :, :length]

    def _padded(self, x: Tensor) -> Tensor:
        return pad_rows(x, self.size.batch)


def pad_rows(x: Tensor, rows: int) -> Tensor:
    """x [R, D] -> [rows, D], zeros behind. As it is where nothing is missing: F.pad would copy."""
    return x if len(x) == rows else F.pad(x, (0, 0, 0, rows - len(x)))


def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """query [R, heads, width], keys and values [R, heads, L, width], mask [R, 1, 1, L] -> [R, D].

    L is whole multiples of 8 on a GPU.
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
    """lengths [R], positions [L] 0, 1, 2, ... -> [R, 1, 1, L]: -inf from a row's length on."""
    beyond = positions >= lengths[:, None]
    mask = torch.zeros(beyond.shape, dtype=dtype, device=beyond.device)
    return mask.masked_fill_(beyond, -math.inf)[:, None, None]
