"""The CPU backend: packed int8 or int4 matrices, and one compiled call for each step.

Steps and prefill are the same computation over M rows of x, in which each kernel computes every row
independently. Keys and values are stored in bfloat16.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toccata.backends.base import Backend
from toccata.backends.step_inputs import StepInputs
from toccata.decoder.decoder import Decoder
from toccata.decoder.layers import Layer, Norm
from toccata.decoder.quantized import Int8, Packed, is_compressed, joined
from toccata.kernels import tables, thread_team
from toccata.kernels.attention import BLOCK as POSITIONS
from toccata.kernels.attention import HEAD, Cache, Places
from toccata.kernels.layers import (
    HEADS_LOOPS,
    LAYER_LOOPS,
    LOOP_PARTS,
    MEMORY_LOOPS,
    Heads,
    Sizes,
    Workspace,
    run_layers,
    store_memory,
)
from toccata.kernels.matmul import BLOCK, Floats
from toccata.kernels.rounding import GROUP, padded_rows


def fits(decoder: Decoder) -> bool:
    """Return whether the kernels can run a decoder: packed matrices, whole blocks, heads of 64."""
    config = decoder.config
    whole = not (config.dim % GROUP or config.ffn_dim % GROUP or config.card % BLOCK)
    return is_compressed(decoder) and whole and config.dim == HEAD * config.heads


class PackedCpu(Backend):
    """Runs a decoder for which `fits` is true."""

    prefill_positions = 12

    def __init__(self, decoder: Decoder) -> None:
        config = decoder.config
        self._config = config
        self._inputs = StepInputs(decoder)
        layers = [cast(Layer, layer) for layer in decoder.layers]
        self._cross = [_cross_keys(layer) for layer in layers] if config.cross_attention else []
        self._arrays = [_arrays(layer) for layer in layers]
        self._like = _packed(layers[0].ffn_in).matrix
        matrix = joined([cast(Int8, head) for head in decoder.heads]).matrix
        self._heads = Heads(*_norm(decoder.out_norm), matrix)
        self._no_logits = np.empty((0, config.codebooks * config.card), np.float32)
        self._caches = [Cache.empty(0, config.heads, 0)] * config.layers
        self._memories = self._caches.copy()
        self._lengths: Places = np.zeros(0, np.int64)
        self._filled = 0  # positions that were written in any row
        self._table = np.zeros((config.layers, tables.COLUMNS), np.int64)
        self._workspaces = _Workspaces(config.dim, config.ffn_dim)
        self._parts_s: dict[str, float] | None = None

    def parts_s(self) -> Mapping[str, float]:
        """Return the seconds per part; steps are measured from the first call on."""
        if self._parts_s is None:
            self._parts_s = dict.fromkeys(LOOP_PARTS, 0.0)
        return self._parts_s

    def open(
        self,
        row: int,
        positions: int,
        memories: Sequence[Tensor | None],
        step_conditioning: Sequence[Tensor | None] = (),
    ) -> None:
        rows = row + len(memories)
        longest = max((len(memory) for memory in memories if memory is not None), default=0)
        self._grow(rows, positions)
        _grow(self._memories, rows, longest, self._memories[0].positions)
        self._lengths = np.pad(self._lengths, (0, len(self._memories[0].keys) - len(self._lengths)))
        self._tabulate()
        self._inputs.open(row, len(memories), positions, step_conditioning)
        for index, memory in enumerate(memories, start=row):
            self._remember(index, memory)

    def reserve(self, rows: int, positions: int) -> None:
        self._grow(rows, positions)
        self._tabulate()

    def _grow(self, rows: int, positions: int) -> None:
        _grow(self._caches, rows, positions, self._filled)

    def _tabulate(self) -> None:
        # The table is replaced, not changed: a late thread of the last step may still read it.
        rows = [
            tables.addresses([*arrays, *cache, *memory])
            for arrays, cache, memory in zip(
                self._arrays, self._caches, self._memories, strict=True
            )
        ]
        table = np.array(rows, np.int64)
        if not self._config.cross_attention:
            table[:, tables.QUERY] = 0
        self._table = table

    def _remember(self, row: int, memory: Tensor | None) -> None:
        self._lengths[row] = 0 if memory is None else len(memory)
        if memory is None:
            return
        for keys_and_values, cache in zip(self._cross, self._memories, strict=True):
            both = keys_and_values(memory).numpy()
            threads = torch.get_num_threads()
            thread_team.run(store_memory, MEMORY_LOOPS, threads, both, row, len(memory), cache)

    @torch.inference_mode()
    def embed(self, codes: Tensor) -> Tensor:
        return self._inputs.embed(codes.T)

    @torch.inference_mode()
    def prefill(self, row: int, start: int, chunk: Tensor) -> None:
        rows, size, _ = chunk.shape
        x = self._inputs.chunk(row, start, chunk).flatten(0, 1)
        self._run(x, np.arange(row, row + rows), np.full(rows, start), size, self._no_logits)

    @torch.inference_mode()
    def step(self, rows: Sequence[int], positions: Sequence[int], codes: Tensor) -> Tensor:
        count, config = len(rows), self._config
        row_index, starts = np.array(rows), np.array(positions)
        x = self._inputs.step(torch.from_numpy(row_index), torch.from_numpy(starts), codes)
        logits = np.empty((padded_rows(count), config.codebooks * config.card), np.float32)
        self._run(x, row_index, starts, 1, logits)
        return torch.from_numpy(logits[:count]).view(count, config.codebooks, config.card)

    def _run(self, x: Tensor, rows: Places, starts: Places, steps: int, logits: Floats) -> None:
        """Run all layers over x [R * steps, D], and the heads unless `logits` is empty."""
        self._filled = max(self._filled, int(starts.max()) + steps)
        workspace = self._workspaces.of(len(x))
        workspace.x[: len(x)] = x.numpy()
        loops, threads = LAYER_LOOPS * len(self._table) + HEADS_LOOPS, torch.get_num_threads()
        start = time.perf_counter()
        counters = thread_team.run(
            run_layers, loops, threads, self._table, self._like, self._sizes(), rows, starts,
            steps, self._lengths, workspace, self._heads, logits,
        )  # fmt: skip
        if self._parts_s is not None:
            _count(thread_team.ends(counters), time.perf_counter() - start, self._parts_s)

    def _sizes(self) -> Sizes:
        cache, memory = self._caches[0], self._memories[0]
        rows, heads = cache.keys.shape[:2]
        return Sizes(rows, heads, cache.positions, len(memory.keys), memory.positions)


class _Workspaces:
    """One block of memory for the largest batch so far, and views of it for smaller ones."""

    def __init__(self, dim: int, ffn_dim: int) -> None:
        self._dim, self._ffn_dim = dim, ffn_dim
        self._largest = 0
        self._views: dict[int, Workspace] = {}

    def of(self, rows: int) -> Workspace:
        padded = padded_rows(rows)
        if padded > self._largest:
            self._largest = padded
            self._views = {padded: Workspace.empty(padded, self._dim, self._ffn_dim)}
        if padded not in self._views:
            self._views[padded] = self._views[self._largest].first(padded)
        return self._views[padded]


def _grow(caches: list[Cache], rows: int, positions: int, filled: int) -> None:
    """Reserve so many rows and positions in each cache; only `filled` positions are copied.

    The system allocates memory when it is first written, so a cache may be far larger than its
    contents.
    """
    old_rows, heads = caches[0].keys.shape[:2]
    if rows <= old_rows and positions <= caches[0].positions:
        return
    rows, positions = max(rows, old_rows), max(positions, caches[0].positions)
    blocks = -(-filled // POSITIONS)
    for index, old in enumerate(caches):
        caches[index] = new = Cache.empty(rows, heads, positions)
        new.keys[:old_rows, :, :blocks] = old.keys[:, :, :blocks]
        new.values[:old_rows, :, : blocks * POSITIONS] = old.values[:, :, : blocks * POSITIONS]


def _packed(module: nn.Module) -> Packed:
    return cast(Packed, module)


def _norm(norm: Norm) -> tuple[Floats, Floats]:
    return norm.weight.detach().float().numpy(), norm.bias.detach().float().numpy()


def _arrays(layer: Layer) -> list[NDArray[Any]]:
    """Return a layer's arrays in the order of a table's columns.

    In a layer without cross-attention other arrays fill its columns, and are not read.
    """
    attn, crossed = layer.self_attn, hasattr(layer, "cross_attn")
    cross = layer.cross_attn if crossed else None
    return [
        *_norm(layer.norm_self),
        *_packed(attn.qkv).matrix,
        *_packed(attn.out).matrix,
        *_norm(layer.norm_cross if crossed else layer.norm_self),
        *_packed(cross.q if cross else attn.out).matrix,
        *_packed(cross.out if cross else attn.out).matrix,
        *_norm(layer.norm_ffn),
        *_packed(layer.ffn_in).matrix,
        *_packed(layer.ffn_out).matrix,
    ]


def _cross_keys(layer: Layer) -> Packed:
    return _packed(layer.cross_attn.kv)


def _count(ends: Places, seconds: float, parts_s: dict[str, float]) -> None:
    """Divide the time of a step among its parts, by the times at which its loops ended."""
    spent = np.diff(ends[ends > 0])
    for loop, share in zip(np.flatnonzero(ends)[1:], spent / spent.sum(), strict=True):
        parts_s[LOOP_PARTS[loop % LAYER_LOOPS]] += float(share) * seconds
