"""The CUDA backend: captures a step as a graph and replays it.

Batch row i is row i of the cache, so that no row is gathered. A step computes the first rows up to
the last active one, and attends to as many positions as the longest request needs. Rows without an
active request are computed too, and write to a dummy position that is never attended to.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from toccata.backends.base import GraphCapturable
from toccata.backends.batch_invariance import (
    invariant_attention_lengths,
    invariant_attention_rows,
    invariant_batches,
)
from toccata.backends.graph_capture import CudaGraphCapture, GraphCapture
from toccata.backends.static_attention import Size, StaticAttention, mask_beyond, pad_rows
from toccata.backends.torch_eager import TorchEager, norm
from toccata.decoder.decoder import Decoder
from toccata.errors import GenerationError, InputError

LENGTH_STEP = 256
"""Steps attend to multiples of so many positions: this needs fewer graphs, but some masked keys are
read."""
MEMORY_STEP = 64
HEADROOM_BYTES, HEADROOM_SHARE = 2**30, 0.05
"""Left free for text encoder and codec, and for the workspace that libraries keep by thread."""
UNCAPTURED_ROWS = 16
"""Rows of a step outside a graph, as tests and experiments compute it."""


class CudaGraphs(TorchEager, GraphCapturable):
    """Runs a decoder on a CUDA device, with the steps captured as graphs.

    Args:
        decoder: A decoder on a CUDA device.
        graph_capture: How graphs are captured; None captures CUDA graphs on the decoder's device.

    Raises:
        InputError: If the decoder is not on a CUDA device and `graph_capture` is None.
    """

    def __init__(self, decoder: Decoder, graph_capture: GraphCapture | None = None) -> None:
        device = decoder.embed[0].get_parameter("weight").device
        if graph_capture is None and device.type != "cuda":
            raise InputError("backend", "cuda_graphs", f"it needs a CUDA device, not {device.type}")
        super().__init__(decoder)
        self.device = device
        self.graph_capture = graph_capture or CudaGraphCapture(device)
        self._numbers = torch.arange(0, device=device)
        self._memory_mask = self._like.new_zeros(0, 1, 1, 0)
        self._lengths: list[int] = []
        self.prepare([UNCAPTURED_ROWS], UNCAPTURED_ROWS)

    @torch.inference_mode()
    def prepare(self, rows: Sequence[int], batch: int) -> None:
        dim, ffn = self._config.dim, self._config.ffn_dim
        codes = self._config.codebooks * self._config.card
        shapes = {(3 * dim, dim), (dim, dim), (ffn, dim), (dim, ffn), (codes, dim)}
        batches = invariant_batches(sorted({*rows, batch}), shapes, self._like)
        kept = invariant_attention_rows(rows, *self._heads_and_width, self._like)
        self._sizes = [(count, next(b for b in batches if b >= count)) for count in kept]

    @property
    def _heads_and_width(self) -> tuple[int, int]:
        return self._config.heads, self._config.dim // self._config.heads

    @torch.inference_mode()
    def reserve(self, rows: int, positions: int) -> None:
        if rows > self._sizes[-1][0]:  # more than were prepared for
            more = _whole(rows, UNCAPTURED_ROWS)
            self.prepare([*(count for count, _ in self._sizes), more], more)
        longest = max(_whole(positions, LENGTH_STEP), *self._lengths, 0)
        self._grow(self._size_of(rows)[0], longest + 1)
        if [longest] != self._lengths[-1:]:
            lengths = range(LENGTH_STEP, longest + 1, LENGTH_STEP)
            self._lengths = invariant_attention_lengths(lengths, *self._heads_and_width, self._like)
        self._inputs.step_conditioning.reserve(self._cache.rows, self._cache.positions)
        self._inputs.extend_sinusoids(self._cache.positions)
        if len(self._numbers) < max(self._cache.positions, self._cache.rows):
            most = max(self._cache.positions, self._cache.rows)
            self._numbers = torch.arange(most, device=self._device)
        if self._config.cross_attention:
            self._reserve_memory(1)

    def _grow(self, rows: int, positions: int) -> None:
        cache = self._cache
        rows, positions = max(rows, cache.rows), max(cache.round_up(positions), cache.positions)
        layer, layers = cache.bytes_for(rows, positions), self._config.layers
        # While a layer grows, its old and its new tensor are both allocated.
        more = (layers + 1) * layer - layers * cache.bytes_for(cache.rows, cache.positions)
        if (rows, positions) != (cache.rows, cache.positions) and more > self._free_bytes:
            raise GenerationError(
                f"the device has {self._free_bytes / 1e9:.1f} GB left, and {rows} rows of "
                f"{positions} positions need {more / 1e9:.1f} GB more; use fewer slots, or make "
                "shorter clips"
            )
        cache.reserve(rows, positions)

    @property
    def _free_bytes(self) -> int:
        free = int((1 - HEADROOM_SHARE) * self.graph_capture.free_bytes())
        return max(0, free - HEADROOM_BYTES)

    def max_positions(self, rows: int) -> int:
        cache, layers = self._cache, self._config.layers
        free = self._free_bytes + layers * cache.bytes_for(cache.rows, cache.positions)
        each = (layers + 1) * cache.bytes_for(self._size_of(rows)[0], 1)
        others = cache.bucket + (MEMORY_STEP if self._config.cross_attention else 0)
        return max(0, free // each - others) // LENGTH_STEP * LENGTH_STEP

    def _reserve_memory(self, positions: int) -> None:
        self._memory.reserve(self._cache.rows, _whole(positions, MEMORY_STEP))
        old, shape = self._memory_mask, (self._memory.rows, 1, 1, self._memory.positions)
        if old.shape != shape:
            # A row that was never opened attends to zeros: without any key it would become nan.
            self._memory_mask = self._like.new_zeros(shape)
            self._memory_mask[: len(old), ..., old.shape[3] :] = -torch.inf
            self._memory_mask[: len(old), ..., : old.shape[3]] = old

    @torch.inference_mode()
    def open(
        self,
        row: int,
        positions: int,
        memories: Sequence[Tensor | None],
        step_conditioning: Sequence[Tensor | None] = (),
    ) -> None:
        rows = len(memories)
        self.reserve(row + rows, positions)
        # All positions are zeroed: a masked value has no effect only if it is finite.
        self._cache.open(row, rows, self._cache.positions)
        if self._config.cross_attention:
            self._reserve_memory(max((len(one) for one in memories if one is not None), default=1))
            self._memory.open(row, rows, self._memory.positions)
        super().open(row, positions, memories, step_conditioning)
        if self._config.cross_attention:
            self._memory_mask[row : row + rows] = 0
            self._memory_mask[row : row + rows, ..., self._memory_lengths[row] :] = -torch.inf

    @property
    def dummy_slot(self) -> int:
        return self._cache.positions - 1

    @property
    def layout(self) -> Hashable:
        return (self._cache.moves, self._memory.moves, self._inputs.step_conditioning.shape)

    def size_for(self, rows: int, positions: int) -> Size:
        count, batch = self._size_of(rows)
        length = next(length for length in self._lengths if length >= positions)
        return Size(count, batch, length)

    def _size_of(self, rows: int) -> tuple[int, int]:
        return next(size for size in self._sizes if size[0] >= rows)

    @property
    def sizes(self) -> list[Size]:
        allocated = [size for size in self._sizes if size[0] <= self._cache.rows]
        return [Size(*size, length) for size in allocated for length in self._lengths]

    @torch.inference_mode()
    def forward(self, size: Size, codes: Tensor, positions: Tensor) -> Tensor:
        rows = self._numbers[: size.rows]
        x = self._inputs.step(rows, positions, codes)
        attention = StaticAttention(
            cache=self._cache,
            memory=self._memory,
            size=size,
            row_numbers=rows,
            positions=positions,
            mask=mask_beyond(positions + 1, self._numbers[: size.length], self._dtype),
            memory_mask=self._memory_mask[: size.rows],
        )
        x = self._run(pad_rows(x, size.batch), attention)
        logits = self._heads(norm(x, self._out_norm).to(self._dtype)).float()
        return logits.view(-1, self._config.codebooks, self._config.card)

    @torch.inference_mode()
    def step(self, rows: Sequence[int], positions: Sequence[int], codes: Tensor) -> Tensor:
        size = self.size_for(rows[-1] + 1, max(positions) + 1)
        index = torch.tensor(rows, device=self._device)
        all_positions = torch.full((size.rows,), self.dummy_slot, device=self._device)
        all_positions[index] = torch.tensor(positions, device=self._device)
        all_codes = all_positions.new_zeros(size.rows, self._config.codebooks)
        all_codes[index] = codes.to(self._device)
        return self.forward(size, all_codes, all_positions)[index]


def _whole(count: int, step: int) -> int:
    """Round `count` up to a multiple of `step`."""
    return -(-count // step) * step
