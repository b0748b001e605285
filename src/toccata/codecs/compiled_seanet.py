"""SEANet's encoder and decoder on compiled kernels, with the interface of `seanet`.

Signals are stored after their ELU, in the precision of the products. Only the input of a residual
block is also stored without ELU, in float32, for the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.codecs.compiled_lstm import Recurrence, State
from toccata.codecs.conv_matmul import Product
from toccata.codecs.row_buffers import Rows
from toccata.codecs.seanet import (
    Conv,
    Decoder,
    Encoder,
    Residual,
    SeanetConfig,
    SkipLstm,
    UpConv,
    pad,
)
from toccata.kernels.activations import processor_has
from toccata.kernels.convolution import ROWS
from toccata.kernels.vectors import LANES


def fits(cfg: SeanetConfig) -> bool:
    """Return whether the kernels support this processor and this shape."""
    usual = cfg.residual_layers == 1 and cfg.residual_kernel == 3 and cfg.true_skip
    even = cfg.filters % (2 * cfg.compress) == 0 and cfg.dimension % 2 == 0
    known = cfg.pad_mode in {"constant", "reflect"} and min(cfg.ratios) >= 2
    wide = cfg.inner_width % LANES == 0 and cfg.hop > cfg.last_kernel
    return usual and even and known and wide and processor_has("avx512f")


def each(one: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply `one` to every clip of a batch, and stack the results."""
    return torch.stack([one(clip) for clip in x])


class CompiledLstm:
    """`SkipLstm` in bfloat16; the state of a batch is a list with one state per clip."""

    def __init__(self, lstm: SkipLstm) -> None:
        self._recurrence = Recurrence(lstm.lstm)

    def step(self, x: Tensor, state: list[State] | None) -> tuple[Tensor, list[State]]:
        before: Sequence[State | None] = state or [None] * len(x)
        frames = x.transpose(1, 2).contiguous()
        results = [self._recurrence.run(*one) for one in zip(frames, before, strict=True)]
        y = torch.stack([out for out, _ in results]).transpose(1, 2)
        return y + x, [after for _, after in results]


class Block(NamedTuple):
    """The two convolutions of a residual block."""

    first: Product
    second: Product

    @classmethod
    def of(cls, block: Residual, half: bool) -> Block:
        first, second = (cast(Conv, block.block[at]) for at in (1, 3))
        return cls(Product.of_conv(first, half=half), Product.of_conv(second, half=half))


class _Chain:
    """The common part of encoder and decoder; with `half`, products are computed in bfloat16."""

    def __init__(self, cfg: SeanetConfig, half: bool) -> None:
        self._cfg = cfg
        self._half = half
        self._dtype = np.uint16 if half else np.float32
        self._slack = 0  # numbers behind a signal that tiles read and write past its end

    def _conv(self, conv: Any) -> Product:
        return self._add_slack(Product.of_conv(conv, half=self._half))

    def _up(self, conv: Any) -> Product:
        return self._add_slack(Product.of_transposed(conv, half=self._half))

    def _block(self, block: Any) -> Block:
        packed_block = Block.of(block, self._half)
        self._add_slack(packed_block.first)
        self._add_slack(packed_block.second)
        return packed_block

    def _add_slack(self, product: Product) -> Product:
        """Enlarge the slack to what this product needs."""
        needed = ROWS * max(product.step, len(product.bias)) + 2 * product.inputs
        self._slack = max(self._slack, needed)
        return product

    def _empty(self, before: int, count: int, width: int, dtype: Any = None) -> Rows:
        return Rows.empty(before, count, width, self._slack, dtype or self._dtype)

    def _local(self, product: Product, x: Tensor, kernel: int) -> Tensor:
        """Compute a layer at the frame rate: x [D, T] to [D', T]."""
        right = (kernel - 1) // 2
        padded = pad(x[None], kernel - 1 - right, right, self._cfg.pad_mode)[0]
        rows = Rows.of(padded, 0, self._slack, self._dtype)
        out = self._empty(0, x.shape[1], product.width, np.float32)
        product.run(rows.flat, 0, out.count, raw=out.flat)
        return out.tensor()

    def _residual(self, block: Block, raw: Rows, elu: Rows, before: int) -> Rows:
        """Compute a residual block and its ELU.

        Args:
            block: The convolutions.
            raw: The input without ELU.
            elu: The input after ELU, with one row of padding before it.
            before: How many rows of padding the output has before it.
        """
        start = elu.padded(1, 1, self._cfg.pad_mode)
        hidden = self._empty(0, raw.count, block.first.width)
        block.first.run(elu.flat, start, raw.count, elu=hidden.flat)
        out = self._empty(before, raw.count, raw.width)
        block.second.run(
            hidden.flat, 0, raw.count, skip=raw.flat, skip_start=raw.start,
            elu=out.flat, elu_start=out.start,
        )  # fmt: skip
        return out


class CompiledDecoder(_Chain):
    """`seanet.Decoder` on compiled kernels: latents [B, dimension, T] to audio."""

    def __init__(self, decoder: Decoder, cfg: SeanetConfig, half: bool) -> None:
        super().__init__(cfg, half)
        layers = decoder.layers
        self.lstm = CompiledLstm(decoder.lstm) if half else decoder.lstm
        self._enter = self._conv(layers[0])
        ups = [at for at, layer in enumerate(layers) if isinstance(layer, UpConv)]
        self._stages = [(self._up(layers[at]), self._block(layers[at + 1])) for at in ups]
        self._last = self._conv(layers[-1])

    def enter(self, latents: Tensor) -> Tensor:
        return each(lambda x: self._local(self._enter, x, self._cfg.kernel), latents)

    def synthesize(self, features: Tensor) -> Tensor:
        return each(self._audio, features)

    def _audio(self, features: Tensor) -> Tensor:
        cfg = self._cfg
        x = Rows.of(F.elu(features), 1, self._slack, self._dtype)
        for ratio, (up, block) in zip(cfg.ratios, self._stages, strict=True):
            x = self._upsampled(x, ratio, up, block)
        right = (cfg.last_kernel - 1) // 2
        start = x.padded(cfg.last_kernel - 1 - right, right, cfg.pad_mode)
        audio = self._empty(0, x.count, cfg.channels, np.float32)
        self._last.run(x.flat, start, x.count, raw=audio.flat)
        return audio.tensor()

    def _upsampled(self, x: Rows, ratio: int, up: Product, block: Block) -> Rows:
        start, outputs = x.padded(1, 1, "constant"), (x.count + 1) * ratio
        raw = self._empty(0, outputs, x.width // 2, np.float32)
        elu = self._empty(0, outputs, x.width // 2)
        up.run(x.flat, start, x.count + 1, raw=raw.flat, elu=elu.flat)
        first, count = ratio - ratio // 2, x.count * ratio
        before = self._cfg.last_kernel
        return self._residual(block, raw.part(first, count), elu.part(first, count), before)


class CompiledEncoder(_Chain):
    """`seanet.Encoder` on compiled kernels: audio [B, C, N] to latents, always in float32.

    The nearest codebook entry changes for some frames if anything is rounded, the LSTM included.
    """

    def __init__(self, encoder: Encoder, cfg: SeanetConfig) -> None:
        super().__init__(cfg, half=False)
        self._slow = encoder
        layers, self._lstm = encoder.layers, encoder.lstm
        self._first = self._conv(layers[0])
        blocks = [at for at, layer in enumerate(layers) if isinstance(layer, Residual)]
        self._stages = [(self._block(layers[at]), self._conv(layers[at + 2])) for at in blocks]
        self._last = self._conv(layers[-1])

    def analyze(self, audio: Tensor) -> Tensor:
        if audio.shape[-1] < 2 * self._cfg.hop:  # rows cannot be reflected in so short a signal
            return self._slow.analyze(audio)
        return each(self._features, audio)

    def summarize(self, features: Tensor) -> Tensor:
        x = F.elu(self._lstm.step(features, None)[0])
        return each(lambda clip: self._local(self._last, clip, self._cfg.last_kernel), x)

    def _features(self, audio: Tensor) -> Tensor:
        cfg = self._cfg
        right = (cfg.kernel - 1) // 2
        padded = pad(audio[None], cfg.kernel - 1 - right, right, cfg.pad_mode)[0]
        x = Rows.of(padded, 0, self._slack, self._dtype)
        raw, elu = self._pair(audio.shape[1], cfg.filters)
        self._first.run(x.flat, 0, raw.count, raw=raw.flat, elu=elu.flat, elu_start=elu.start)
        for ratio, (block, down) in zip(reversed(cfg.ratios), self._stages, strict=True):
            raw, elu = self._downsampled(raw, elu, ratio, block, down)
        return raw.tensor()

    def _downsampled(
        self, raw: Rows, elu: Rows, ratio: int, block: Block, down: Product
    ) -> tuple[Rows, Rows]:
        right = ratio // 2
        x = self._residual(block, raw, elu, ratio)
        start = x.padded(ratio - right, right - x.count % -ratio, self._cfg.pad_mode)
        raw, elu = self._pair(-(-x.count // ratio), 2 * x.width)
        down.run(x.flat, start, raw.count, raw=raw.flat, elu=elu.flat, elu_start=elu.start)
        return raw, elu

    def _pair(self, count: int, width: int) -> tuple[Rows, Rows]:
        """Allocate buffers for a signal and its ELU."""
        return self._empty(0, count, width, np.float32), self._empty(1, count, width)


class Networks:
    """The compiled encoder and decoder, each packed when it is first used."""

    @classmethod
    def of(
        cls, encoder: Encoder, decoder: Decoder, cfg: SeanetConfig, half: bool
    ) -> Networks | None:
        """Create them, or return None if the kernels do not support this shape or processor."""
        return cls(encoder, decoder, cfg, half) if fits(cfg) else None

    def __init__(self, encoder: Encoder, decoder: Decoder, cfg: SeanetConfig, half: bool) -> None:
        self._modules = encoder, decoder
        self._cfg = cfg
        self._half = half and processor_has("avx512bf16")

    @cached_property
    def encoder(self) -> CompiledEncoder:
        return CompiledEncoder(self._modules[0], self._cfg)

    @cached_property
    def decoder(self) -> CompiledDecoder:
        return CompiledDecoder(self._modules[1], self._cfg, self._half)
