"""The reference backend: eager torch on any device, with a KV cache and independent rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toccata.backends.attention import Attention, ChunkAttention, Run, StepAttention, runs_of
from toccata.backends.base import Backend
from toccata.backends.kv_cache import KVCache
from toccata.backends.step_inputs import StepInputs
from toccata.decoder.decoder import Decoder
from toccata.decoder.layers import NORM_EPS, Layer, Norm, split_heads
from toccata.decoder.quantized import is_compressed

BUCKET = 64
MEMORY_BUCKET = 16

NormWeights = tuple[Tensor, Tensor]
Matrix = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False, slots=True)
class _CrossWeights:
    norm: NormWeights
    q: Matrix
    kv: Matrix
    out: Matrix


@dataclass(frozen=True, eq=False, slots=True)
class _LayerWeights:
    """A layer's tensors, looked up once: calling modules costs as much time as the arithmetic."""

    norm_self: NormWeights
    qkv: Matrix
    out: Matrix
    norm_ffn: NormWeights
    ffn_in: Matrix
    ffn_out: Matrix
    cross: _CrossWeights | None


@cache
def row_multiple() -> int:
    """Return the number of rows to whose multiples batches of float32 weights are padded.

    On CPUs a row of a float32 matrix product has the same bits only in batches of some sizes: with
    AMD in batches of 4, 8, 12 rows and more, with Intel's AMX from 16 rows on. Products with a
    quantised matrix have the same bits in any batch.
    """
    drawn = torch.Generator().manual_seed(0)
    rows, weight = (torch.randn(size, 1024, generator=drawn) for size in (16, 1024))
    whole = F.linear(rows, weight)
    alike = (torch.equal(F.linear(rows[:size], weight), whole[:size]) for size in (4, 8, 12))
    return 4 if all(alike) else 16


class TorchEager(Backend):
    """Runs a decoder in the dtype of its weights, with float32 residuals, norms and logits.

    Args:
        decoder: The decoder, on any device.
    """

    def __init__(self, decoder: Decoder) -> None:
        config = decoder.config
        self._config = config
        self._layers = [_weights(layer) for layer in decoder.layers]  # type: ignore[arg-type]
        self._inputs = StepInputs(decoder)
        compressed = is_compressed(decoder)
        self._heads = _each_head(decoder) if compressed else _all_heads(decoder)
        self._row_multiple = 1 if compressed else row_multiple()
        self._out_norm = _norm_weights(decoder.out_norm)
        self._like = decoder.out_norm.weight.detach()
        self._device, self._dtype = self._like.device, self._like.dtype
        sizes = (config.layers, config.heads, config.dim // config.heads)
        self._cache = KVCache(*sizes, BUCKET, like=self._like)
        self._memory = KVCache(*sizes, MEMORY_BUCKET, like=self._like)
        self._memory_lengths: dict[int, int] = {}
        self._memory_runs: dict[tuple[int, ...], list[Run]] = {}

    @torch.inference_mode()
    def open(
        self,
        row: int,
        positions: int,
        memories: Sequence[Tensor | None],
        step_conditioning: Sequence[Tensor | None] = (),
    ) -> None:
        self._cache.open(row, len(memories), positions)
        self._inputs.open(row, len(memories), positions, step_conditioning)
        if self._config.cross_attention:
            self._remember(row, memories)

    def _remember(self, row: int, memories: Sequence[Tensor | None]) -> None:
        # A row without text keeps values of zero, so that attention adds exactly zero. It has the
        # length of the conditional row, so that both are in one run.
        length = max((len(memory) for memory in memories if memory is not None), default=1)
        self._memory.open(row, len(memories), length)
        self._memory_runs.clear()
        for index, memory in enumerate(memories, start=row):
            self._memory_lengths[index] = length
            if memory is not None:
                self._fill_memory(index, memory.to(self._device, self._dtype))

    def _fill_memory(self, row: int, memory: Tensor) -> None:
        rows = slice(row, row + 1)
        for index, weights in enumerate(self._layers):
            if weights.cross is not None:
                both = weights.cross.kv(memory[None]).chunk(2, dim=-1)
                keys, values = (split_heads(part, self._config.heads) for part in both)
                self._memory.write(index, rows, 0, keys, values)

    @torch.inference_mode()
    def embed(self, codes: Tensor) -> Tensor:
        return self._inputs.embed(codes.T)

    @torch.inference_mode()
    def prefill(self, row: int, start: int, chunk: Tensor) -> None:
        rows, size, _ = chunk.shape
        attention = ChunkAttention(
            cache=self._cache,
            memory=self._memory,
            rows=slice(row, row + rows),
            start=start,
            mask=torch.ones(size, start + size, dtype=torch.bool, device=self._device).tril(start),
            memory_length=self._memory_lengths.get(row, 0),
        )
        self._run(self._inputs.chunk(row, start, chunk), attention)

    @torch.inference_mode()
    def step(self, rows: Sequence[int], positions: Sequence[int], codes: Tensor) -> Tensor:
        count = len(rows)
        at = torch.tensor(positions, device=self._device)
        row_index = torch.tensor(rows, device=self._device)
        x = self._inputs.step(row_index, at, codes)
        x = F.pad(x, (0, 0, 0, -count % self._row_multiple))
        attention = StepAttention(
            cache=self._cache,
            memory=self._memory,
            rows=row_index,
            positions=at,
            runs=runs_of(rows, [position + 1 for position in positions], self._cache),
            memory_runs=self._runs_of_memory(tuple(rows)),
        )
        hidden = norm(self._run(x, attention), self._out_norm).to(self._dtype)
        logits = self._heads(hidden).float()
        return logits[:count].view(count, self._config.codebooks, self._config.card)

    def _runs_of_memory(self, rows: tuple[int, ...]) -> list[Run]:
        if not self._config.cross_attention:
            return []
        if rows not in self._memory_runs:
            lengths = [self._memory_lengths[row] for row in rows]
            self._memory_runs[rows] = runs_of(rows, lengths, self._memory)
        return self._memory_runs[rows]

    def _run(self, x: Tensor, attention: Attention) -> Tensor:
        """Run all layers over x [..., D] float32, which is overwritten."""
        dtype = self._dtype
        for index, w in enumerate(self._layers):
            qkv = w.qkv(norm(x, w.norm_self).to(dtype))
            x += w.out(attention.to_self(index, qkv))
            if w.cross is not None:
                query = w.cross.q(norm(x, w.cross.norm).to(dtype))
                x += w.cross.out(attention.to_memory(index, query))
            hidden = F.gelu(w.ffn_in(norm(x, w.norm_ffn).to(dtype)))
            x += w.ffn_out(hidden)
        return x


def norm(x: Tensor, weights: NormWeights) -> Tensor:
    return F.layer_norm(x, (x.shape[-1],), *weights, NORM_EPS)


def _weight(module: nn.Module) -> Tensor:
    weight: Tensor = module.get_parameter("weight").detach()
    return weight


def _matrix(module: nn.Module) -> Matrix:
    """Return a module's matrix product, without the cost of calling a module."""
    if isinstance(module, nn.Linear):
        return _full(_weight(module))
    return module.forward


def _all_heads(decoder: Decoder) -> Matrix:
    return _full(torch.cat([_weight(head) for head in decoder.heads]))


def _each_head(decoder: Decoder) -> Matrix:
    return lambda x: torch.cat([head(x) for head in decoder.heads], dim=-1)


def _full(weight: Tensor) -> Matrix:
    return partial(F.linear, weight=weight)


def _norm_weights(norm: Norm) -> NormWeights:
    return norm.weight.detach().float(), norm.bias.detach().float()


def _weights(layer: Layer) -> _LayerWeights:
    return _LayerWeights(
        norm_self=_norm_weights(layer.norm_self),
        qkv=_matrix(layer.self_attn.qkv),
        out=_matrix(layer.self_attn.out),
        norm_ffn=_norm_weights(layer.norm_ffn),
        ffn_in=_matrix(layer.ffn_in),
        ffn_out=_matrix(layer.ffn_out),
        cross=_cross_weights(layer) if hasattr(layer, "cross_attn") else None,
    )


def _cross_weights(layer: Layer) -> _CrossWeights:
    return _CrossWeights(
        norm=_norm_weights(layer.norm_cross),
        q=_matrix(layer.cross_attn.q),
        kv=_matrix(layer.cross_attn.kv),
        out=_matrix(layer.cross_attn.out),
    )
