"""Attention to the cache: one query per row (a step), or a chunk of one request (prefill).

A row's result must not depend on the other rows. torch's fused CPU kernel splits its work by the
number of rows and threads, and moves a row's last bits with it, so a step uses plain matmuls: they
are as fast for a single query. A chunk runs alone, so there the fused kernel is safe.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.backends.kv_cache import KVCache
from toccata.lm.layers import merge_heads, split_heads


@dataclass(frozen=True, eq=False)
class Run:
    """Neighbours in the batch that are neighbours in the cache too and fill the same bucket."""

    batch: slice
    rows: slice
    length: int
    mask: Tensor  # [R, 1, 1, length]: 0 where there is a key, else -inf


def runs_of(rows: Sequence[int], lengths: Sequence[int], cache: KVCache) -> list[Run]:
    """Group `rows` (ascending), which hold `lengths` positions of `cache`, into runs."""
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
    filled = torch.tensor(lengths, device=like.device).view(-1, 1, 1, 1)
    beyond = torch.arange(size, device=like.device) >= filled
    return torch.zeros(beyond.shape, device=like.device, dtype=like.dtype).masked_fill_(
        beyond, -math.inf
    )


@dataclass(frozen=True, eq=False)
class StepAttention:
    """One query per row; the batch may be padded with rows that belong to nobody."""

    cache: KVCache
    memory: KVCache
    rows: Tensor
    positions: Tensor
    runs: Sequence[Run]
    memory_runs: Sequence[Run]

    def to_self(self, layer: int, qkv: Tensor) -> Tensor:
        """qkv [M, 3 D] -> [M, D]; the new keys and values are stored."""
        cache = self.cache.layers[layer]
        split = qkv.view(len(qkv), 3, cache.shape[2], cache.shape[4])
        cache[:, self.rows, :, self.positions] = split[: len(self.rows), 1:]
        return _attend(split[:, 0], cache, self.runs)

    def to_memory(self, layer: int, query: Tensor) -> Tensor:
        """query [M, D] -> [M, D]."""
        memory = self.memory.layers[layer]
        split = query.view(len(query), memory.shape[2], memory.shape[4])
        return _attend(split, memory, self.memory_runs)


def _attend(query: Tensor, cache: Tensor, runs: Sequence[Run]) -> Tensor:
    scaled = query.mul(1.0 / math.sqrt(query.shape[-1])).unsqueeze(2)
    out = torch.zeros_like(scaled)
    for run in runs:
        keys, values = cache[0, run.rows, :, : run.length], cache[1, run.rows, :, : run.length]
        scores = torch.matmul(scaled[run.batch], keys.transpose(2, 3)).add_(run.mask)
        out[run.batch] = torch.matmul(scores.softmax(-1), values)
    return out.flatten(1)


@dataclass(frozen=True, eq=False)
class ChunkAttention:
    """A chunk [R, S, D] of one request, causal, from position `start` on.

    mask [S, start + S] is True where a query may see a key.
    """

    cache: KVCache
    memory: KVCache
    rows: slice
    start: int
    mask: Tensor
    memory_length: int

    def to_self(self, layer: int, qkv: Tensor) -> Tensor:
        """qkv [R, S, 3 D] -> [R, S, D]; the new keys and values are stored."""
        heads = self.cache.layers[layer].shape[2]
        query, keys, values = (split_heads(part, heads) for part in qkv.chunk(3, dim=-1))
        self.cache.write(layer, self.rows, self.start, keys, values)
        return self._fused(query, self.cache.layers[layer], self.mask.shape[1], self.mask)

    def to_memory(self, layer: int, query: Tensor) -> Tensor:
        """query [R, S, D] -> [R, S, D]."""
        memory = self.memory.layers[layer]
        return self._fused(split_heads(query, memory.shape[2]), memory, self.memory_length, None)

    def _fused(self, query: Tensor, cache: Tensor, length: int, mask: Tensor | None) -> Tensor:
        keys, values = cache[0, self.rows, :, :length], cache[1, self.rows, :, :length]
        return merge_heads(F.scaled_dot_product_attention(query, keys, values, attn_mask=mask))
