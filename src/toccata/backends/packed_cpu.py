"""Packed matrices on a CPU: a step is a few calls of compiled kernels per layer.

Steps and prefill are the same computation: M rows of x, of which each kernel treats a row by
itself. Keys and values are kept in bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from toccata.backends.base import Backend
from toccata.backends.step_inputs import StepInputs
from toccata.kernels.attention import HEAD, Cache, Places
from toccata.kernels.compiling import use_threads
from toccata.kernels.layer import (
    Norm,
    Scratch,
    add_cross_attention,
    add_feed_forward,
    add_self_attention,
    keep_memory,
    normalised_product,
)
from toccata.kernels.matmul import BLOCK, Floats, Matrix
from toccata.kernels.rounding import GROUP, padded_rows
from toccata.lm.compressed import Int8, Packed, is_compressed, joined
from toccata.lm.decoder import Decoder
from toccata.lm.layers import Layer
from toccata.lm.layers import Norm as NormModule


def fits(decoder: Decoder) -> bool:
    """Whether the kernels can run it: packed matrices of whole blocks, heads of 64."""
    config = decoder.config
    whole = not (config.dim % GROUP or config.ffn_dim % GROUP or config.card % BLOCK)
    return is_compressed(decoder) and whole and config.dim == HEAD * config.heads


@dataclass(frozen=True, eq=False, slots=True)
class _CrossWeights:
    norm: Norm
    q: Matrix
    kv: Packed
    out: Matrix


@dataclass(frozen=True, eq=False, slots=True)
class _LayerWeights:
    norm_self: Norm
    qkv: Matrix
    out: Matrix
    norm_ffn: Norm
    ffn_in: Matrix
    ffn_out: Matrix
    cross: _CrossWeights | None


class PackedCpu(Backend):
    """Runs a decoder for which `fits` is true."""

    def __init__(self, decoder: Decoder) -> None:
        config = decoder.config
        self._config = config
        self._inputs = StepInputs(decoder)
        self._layers = [_weights(layer) for layer in decoder.layers]  # type: ignore[arg-type]
        self._out_norm = _norm(decoder.out_norm)
        self._heads = joined([cast(Int8, head) for head in decoder.heads]).matrix
        self._caches = [Cache.empty(0, config.heads, 0)] * config.layers
        self._memories = self._caches.copy()
        self._memory_lengths: Places = np.zeros(0, np.int64)
        self._room = _Room(config.dim, config.ffn_dim, config.codebooks * config.card)

    def open(
        self,
        row: int,
        positions: int,
        memories: Sequence[Tensor | None],
        step_sums: Sequence[Tensor | None] = (),
    ) -> None:
        rows = row + len(memories)
        _grow(self._caches, rows, positions)
        self._inputs.open(row, len(memories), positions, step_sums)
        if self._config.cross_attention:
            longest = max((len(memory) for memory in memories if memory is not None), default=0)
            _grow(self._memories, rows, longest)
            missing = max(rows - len(self._memory_lengths), 0)
            self._memory_lengths = np.pad(self._memory_lengths, (0, missing))
            for index, memory in enumerate(memories, start=row):
                self._remember(index, memory)

    def _remember(self, row: int, memory: Tensor | None) -> None:
        self._memory_lengths[row] = 0 if memory is None else len(memory)
        for weights, cache in zip(self._layers, self._memories, strict=True):
            if weights.cross is not None and memory is not None:
                keep_memory(weights.cross.kv(memory).numpy(), row, len(memory), cache)

    @torch.inference_mode()
    def embed(self, codes: Tensor) -> Tensor:
        return self._inputs.embed(codes.T)

    @torch.inference_mode()
    def prefill(self, row: int, start: int, chunk: Tensor) -> None:
        rows, size, _ = chunk.shape
        x = self._inputs.chunk(row, start, chunk).flatten(0, 1)
        self._run(x, np.arange(row, row + rows), np.full(rows, start), size)

    @torch.inference_mode()
    def step(self, rows: Sequence[int], positions: Sequence[int], codes: Tensor) -> Tensor:
        row_index, starts = np.array(rows), np.array(positions)
        x = self._inputs.step(torch.from_numpy(row_index), torch.from_numpy(starts), codes)
        room = self._run(x, row_index, starts, 1)
        count = len(rows)
        normalised_product(
            room.x, self._out_norm, self._heads, count, room.scratch.narrow, room.logits
        )
        logits = torch.from_numpy(room.logits[:count].copy())
        return logits.view(count, self._config.codebooks, self._config.card)

    def _run(self, x: Tensor, rows: Places, starts: Places, steps: int) -> _Rows:
        """All layers over x [R * steps, D]; what comes out is in the `x` of what is returned."""
        count = len(x)
        room = self._room.of(count)
        room.x[:count] = x.numpy()
        use_threads(torch.get_num_threads())
        for w, cache, memory in zip(self._layers, self._caches, self._memories, strict=True):
            add_self_attention(
                room.x, w.norm_self, w.qkv, w.out, rows, starts, steps, cache, room.scratch
            )
            if w.cross is not None:
                add_cross_attention(
                    room.x, w.cross.norm, w.cross.q, w.cross.out, rows, self._memory_lengths,
                    steps, memory, room.queries, room.scratch,
                )  # fmt: skip
            add_feed_forward(room.x, w.norm_ffn, w.ffn_in, w.ffn_out, count, room.scratch)
        return room


@dataclass(frozen=True, eq=False, slots=True)
class _Rows:
    """Room for M rows: x and queries [M', D], logits [M', K * card]."""

    x: Floats
    queries: Floats
    logits: Floats
    scratch: Scratch


class _Room:
    """One block of memory for the largest batch yet, and views of it for smaller ones."""

    def __init__(self, dim: int, ffn_dim: int, logits: int) -> None:
        self._widths = dim, ffn_dim, logits
        self._views: dict[int, _Rows] = {}
        self._most = 0

    def of(self, rows: int) -> _Rows:
        padded = padded_rows(rows)
        if padded > self._most:
            self._most = padded
            self._views = {padded: self._made(padded)}
        if padded not in self._views:
            self._views[padded] = _first(self._views[self._most], padded)
        return self._views[padded]

    def _made(self, rows: int) -> _Rows:
        dim, ffn_dim, logits = self._widths
        x, queries = np.zeros((rows, dim), np.float32), np.zeros((rows, dim), np.float32)
        return _Rows(
            x, queries, np.zeros((rows, logits), np.float32), Scratch.empty(rows, dim, ffn_dim)
        )


def _first(room: _Rows, rows: int) -> _Rows:
    return _Rows(
        room.x[:rows],
        room.queries[:rows],
        room.logits[:rows],
        room.scratch.first(rows),
    )


def _grow(caches: list[Cache], rows: int, positions: int) -> None:
    """Let each hold so many rows and positions; memory that is not written to costs nothing."""
    old_rows, heads = caches[0].keys.shape[:2]
    if rows <= old_rows and positions <= caches[0].positions:
        return
    rows, positions = max(rows, old_rows), max(positions, caches[0].positions)
    for index, old in enumerate(caches):
        caches[index] = new = Cache.empty(rows, heads, positions)
        new.keys[:old_rows, :, : old.keys.shape[2]] = old.keys
        new.values[:old_rows, :, : old.positions] = old.values


def _norm(norm: NormModule) -> Norm:
    return Norm(norm.weight.detach().float().numpy(), norm.bias.detach().float().numpy())


def _matrix(module: torch.nn.Module) -> Matrix:
    return cast(Packed, module).matrix


def _weights(layer: Layer) -> _LayerWeights:
    return _LayerWeights(
        norm_self=_norm(layer.norm_self),
        qkv=_matrix(layer.self_attn.qkv),
        out=_matrix(layer.self_attn.out),
        norm_ffn=_norm(layer.norm_ffn),
        ffn_in=_matrix(layer.ffn_in),
        ffn_out=_matrix(layer.ffn_out),
        cross=_cross_weights(layer) if hasattr(layer, "cross_attn") else None,
    )


def _cross_weights(layer: Layer) -> _CrossWeights:
    return _CrossWeights(
        norm=_norm(layer.norm_cross),
        q=_matrix(layer.cross_attn.q),
        kv=cast(Packed, layer.cross_attn.kv),
        out=_matrix(layer.cross_attn.out),
    )
