"""Attention to the key-value cache, for steps of one query and for chunks of a prefill.

A row's result must not depend on the other rows. torch's fused CPU kernel splits its work by the
number of rows and threads, which changes the last bits of a row, so a step uses plain matrix
products; for a single query they are as fast. A chunk of a prefill has no other rows in its call,
so the fused kernel is safe there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.backends.kv_cache import KVCache
from toccata.decoder.layers import merge_heads, split_heads


class Attention(Protocol):
    """The self-attention and cross-attention of a layer, with their caches."""

    def to_self(self, layer: int, qkv: Tensor) -> Tensor:
        """Store the new keys and values, and attend: qkv [..., 3 D] -> [..., D]."""
        ...

    def to_memory(self, layer: int, query: Tensor) -> Tensor:
        """Attend to the keys and values of the text: query [..., D] -> [..., D]."""
        ...


@dataclass(frozen=True, eq=False)
class Run:
    """Adjacent rows of the batch that are also adjacent in the cache and have the same bucket."""

    batch: slice
    rows: slice
    length: int
    mask: Tensor  # [R * heads, 1, length]: 0 where there is a key, else -inf


def runs_of(rows: Sequence[int], lengths: Sequence[int], cache: KVCache) -> list[Run]:
    """Group rows of the cache into runs.

    Args:
        rows: Rows of `cache`, ascending.
        lengths: The number of positions that each of them holds.
        cache: The cache that is attended to.
    """
    sizes = [cache.round_up(length) for length in lengths]
    starts = [0]
    for i in range(1, len(rows)):
        if rows[i] != rows[i - 1] + 1 or sizes[i] != sizes[i - 1]:
            starts.append(i)
    ends = [*starts[1:], len(rows)]
    like = cache.layers[0]
    return [
        Run(
            slice(start, end),
            slice(rows[start], rows[start] + end - start),
            sizes[start],
            _mask(lengths[start:end], sizes[start], like),
        )
        for start, end in zip(starts, ends, strict=True)
    ]


def _mask(lengths: Sequence[int], size: int, like: Tensor) -> Tensor:
    filled = torch.tensor(lengths, device=like.device).view(-1, 1, 1)
    beyond = torch.arange(size, device=like.device) >= filled
    mask = torch.zeros(beyond.shape, device=like.device, dtype=like.dtype)
    return mask.masked_fill_(beyond, -math.inf).repeat_interleave(like.shape[2], 0)


@dataclass(frozen=True, eq=False)
class StepAttention:
    """Attention with one query per row; the batch may be padded with rows of no request."""

    cache: KVCache
    memory: KVCache
    rows: Tensor
    positions: Tensor
    runs: Sequence[Run]
    memory_runs: Sequence[Run]

    def to_self(self, layer: int, qkv: Tensor) -> Tensor:
        """Store the new keys and values, and attend: qkv [M, 3 D] -> [M, D]."""
        cache = self.cache.layers[layer]
        split = qkv.view(len(qkv), 3, cache.shape[2], cache.shape[4])
        cache[:, self.rows, :, self.positions] = split[: len(self.rows), 1:]
        return _attend(split[:, 0], cache, self.runs)

    def to_memory(self, layer: int, query: Tensor) -> Tensor:
        """Attend to the keys and values of the text: query [M, D] -> [M, D]."""
        memory = self.memory.layers[layer]
        split = query.view(len(query), memory.shape[2], memory.shape[4])
        return _attend(split, memory, self.memory_runs)


def _attend(query: Tensor, cache: Tensor, runs: Sequence[Run]) -> Tensor:
    """Attend run by run: query [M, heads, D / heads] -> [M, D], zeros for rows of no run."""
    if len(runs) == 1 and runs[0].batch == slice(0, len(query)):
        return _attend_run(query, cache, runs[0])
    out = query.new_zeros(len(query), query.shape[1] * query.shape[2])
    for run in runs:
        out[run.batch] = _attend_run(query[run.batch], cache, run)
    return out


def _attend_run(query: Tensor, cache: Tensor, run: Run) -> Tensor:
    count, _, width = query.shape
    keys, values = cache[:, run.rows, :, : run.length].flatten(1, 2)
    flat, scale = query.reshape(-1, 1, width), 1.0 / math.sqrt(width)
    scores = torch.baddbmm(run.mask, flat, keys.transpose(1, 2), alpha=scale)
    return torch.bmm(scores.softmax(-1), values).view(count, -1)


@dataclass(frozen=True, eq=False)
class ChunkAttention:
    """Causal attention of a chunk [R, S, D] of one request, from position `start` on.

    `mask` [S, start + S] is True where a query may attend to a key.
    """

    cache: KVCache
    memory: KVCache
    rows: slice
    start: int
    mask: Tensor
    memory_length: int

    def to_self(self, layer: int, qkv: Tensor) -> Tensor:
        """Store the new keys and values, and attend: qkv [R, S, 3 D] -> [R, S, D]."""
        heads = self.cache.layers[layer].shape[2]
        query, keys, values = (split_heads(part, heads) for part in qkv.chunk(3, dim=-1))
        self.cache.write(layer, self.rows, self.start, keys, values)
        return self._fused(query, self.cache.layers[layer], self.mask.shape[1], self.mask)

    def to_memory(self, layer: int, query: Tensor) -> Tensor:
        """Attend to the keys and values of the text: query [R, S, D] -> [R, S, D]."""
        memory = self.memory.layers[layer]
        return self._fused(split_heads(query, memory.shape[2]), memory, self.memory_length, None)

    def _fused(self, query: Tensor, cache: Tensor, length: int, mask: Tensor | None) -> Tensor:
        keys, values = cache[0, self.rows, :, :length], cache[1, self.rows, :, :length]
        return merge_heads(F.scaled_dot_product_attention(query, keys, values, attn_mask=mask))
