"""The CUDA backend: captures a step as a graph and replays it.

Batch row i is row i of the cache, so nothing is gathered. A step is made for the first rows that
hold everybody, and for a number of positions that holds the longest; rows that nobody owns are
computed along, and write where nobody reads.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from toccata.backends.base import GraphCapturable
from toccata.backends.batch_invariance import agreeing_lengths, agreeing_products, agreeing_rows
from toccata.backends.graph_capture import CudaGraphCapture, GraphCapture
from toccata.backends.static_attention import Size, StaticAttention, mask_beyond, pad_rows
from toccata.backends.torch_eager import TorchEager, norm
from toccata.decoder.decoder import Decoder
from toccata.errors import GenerationError, InputError

LENGTH_STEP = 256
"""Positions attended to are whole multiples of this: fewer recordings, at the cost of reading some
masked keys."""
MEMORY_STEP = 64
HEADROOM_BYTES, HEADROOM_SHARE = 2**30, 0.05
"""Left free for text encoder and codec, and for the workspace that libraries keep by thread."""
ROWS_ALONE = 16
"""Rows of a step outside a recording, which is for tests and for trying things."""


class CudaGraphs(TorchEager, GraphCapturable):
    """`recorder` None: that of the decoder's own device, which must be a CUDA one.

    Raises InputError for a decoder that is elsewhere.
    """

    def __init__(self, decoder: Decoder, recorder: GraphCapture | None = None) -> None:
        device = decoder.embed[0].get_parameter("weight").device
        if recorder is None and device.type != "cuda":
            raise InputError("backend", "cuda_graphs", f"it needs a CUDA device, not {device.type}")
        super().__init__(decoder)
        self.device = device
        self.recorder = recorder or CudaGraphCapture(device)
        self._numbers = torch.arange(0, device=device)
        self._memory_mask = self._like.new_zeros(0, 1, 1, 0)
        self._lengths: list[int] = []
        self.prepare([ROWS_ALONE], ROWS_ALONE)

    @torch.inference_mode()
    def prepare(self, rows: Sequence[int], batch: int) -> None:
        dim, ffn = self._config.dim, self._config.ffn_dim
        codes = self._config.codebooks * self._config.card
        shapes = {(3 * dim, dim), (dim, dim), (ffn, dim), (dim, ffn), (codes, dim)}
        batches = agreeing_products(sorted({*rows, batch}), shapes, self._like)
        kept = agreeing_rows(rows, *self._heads_and_width, self._like)
        self._sizes = [(count, next(b for b in batches if b >= count)) for count in kept]

    @property
    def _heads_and_width(self) -> tuple[int, int]:
        return self._config.heads, self._config.dim // self._config.heads

    @torch.inference_mode()
    def reserve(self, rows: int, positions: int) -> None:
        if rows > self._sizes[-1][0]:  # more than were prepared for
            more = _whole(rows, ROWS_ALONE)
            self.prepare([*(count for count, _ in self._sizes), more], more)
        longest = max(_whole(positions, LENGTH_STEP), *self._lengths, 0)
        self._grow(self._size_of(rows)[0], longest + 1)
        if [longest] != self._lengths[-1:]:
            lengths = range(LENGTH_STEP, longest + 1, LENGTH_STEP)
            self._lengths = agreeing_lengths(lengths, *self._heads_and_width, self._like)
        self._inputs.step_conditioning.reserve(self._cache.rows, self._cache.positions)
        self._inputs.know(self._cache.positions)
        if len(self._numbers) < max(self._cache.positions, self._cache.rows):
            most = max(self._cache.positions, self._cache.rows)
            self._numbers = torch.arange(most, device=self._device)
        if self._config.cross_attention:
            self._reserve_memory(1)

    def _grow(self, rows: int, positions: int) -> None:
        cache = self._cache
        rows, positions = max(rows, cache.rows), max(cache.round_up(positions), cache.positions)
        layer, layers = cache.bytes_for(rows, positions), self._config.layers
        # While a layer grows, it is there twice.
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
        free = int((1 - HEADROOM_SHARE) * self.recorder.free_bytes())
        return max(0, free - HEADROOM_BYTES)

    def room(self, rows: int) -> int:
        cache, layers = self._cache, self._config.layers
        free = self._free_bytes + layers * cache.bytes_for(cache.rows, cache.positions)
        each = (layers + 1) * cache.bytes_for(self._size_of(rows)[0], 1)
        others = cache.bucket + (MEMORY_STEP if self._config.cross_attention else 0)
        return max(0, free // each - others) // LENGTH_STEP * LENGTH_STEP

    def _reserve_memory(self, positions: int) -> None:
        self._memory.reserve(self._cache.rows, _whole(positions, MEMORY_STEP))
        old, shape = self._memory_mask, (self._memory.rows, 1, 1, self._memory.positions)
        if old.shape != shape:
            # A row that was never opened sees zeros: a row without any key would be nan.
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
        # All of it: what is masked counts for nothing only as long as it is finite.
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
        there = [size for size in self._sizes if size[0] <= self._cache.rows]
        return [Size(*size, length) for size in there for length in self._lengths]

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
    """`count`, rounded up to whole steps."""
    return -(-count // step) * step
