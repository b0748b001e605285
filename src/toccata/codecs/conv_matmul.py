"""A convolution of SEANet as one matrix product without copies: see `kernels.convolution`.

Strides make its step larger. A transposed convolution whose kernel is twice its stride takes two
rows and makes `stride` of them at once. Where N is less than a tile, several rows are made at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from toccata.kernels import thread_team
from toccata.kernels.convolution import LOOPS, WIDTH, Numbers, multiply
from toccata.kernels.vectors import LANES

NOWHERE = np.zeros(0, np.float32)


@dataclass(frozen=True)
class Product:
    """weight: panels [N / 16, K, 16] float32, or [N / 16, K / 2, 16, 2] bfloat16 as uint16.

    bias [N]. step, inputs: how many numbers it goes on for each output row, and reads, K. rows:
    how many rows of the signal an output row holds.
    """

    weight: Numbers
    bias: Numbers
    step: int
    inputs: int
    rows: int

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, step: int, *, half: bool) -> Product:
        """weight [N, taps, C], bias [N]; step in rows of the input. Raises ValueError if it does
        not fit bfloat16, which takes inputs in pairs."""
        weight, bias = weight.detach().float(), bias.detach().float()
        rows = WIDTH // math.gcd(len(bias), WIDTH)
        outputs, taps, channels = weight.shape
        folded = weight.new_zeros(rows, outputs, taps + (rows - 1) * step, channels)
        for row in range(rows):
            folded[row, :, row * step : row * step + taps] = weight
        flat = folded.flatten(2).flatten(0, 1)
        entries = bias.repeat(rows).numpy()
        return cls(packed(flat, half), entries, rows * step * channels, flat.shape[1], rows)

    @classmethod
    def of_conv(cls, conv: nn.Conv1d, *, half: bool) -> Product:
        weight = conv.weight.permute(0, 2, 1)
        return cls.of(weight, _bias(conv), conv.stride[0], half=half)

    @classmethod
    def of_transposed(cls, conv: nn.ConvTranspose1d, *, half: bool) -> Product:
        """For a kernel of twice the stride: row t makes rows t * stride ..., from rows t - 1, t."""
        fan_in, fan_out, stride = *conv.weight.shape[:2], conv.stride[0]
        taps = conv.weight.reshape(fan_in, fan_out, 2, stride).flip(2)
        weight = taps.permute(3, 1, 2, 0).flatten(0, 1)
        return cls.of(weight, _bias(conv).repeat(stride), 1, half=half)

    @property
    def width(self) -> int:
        """Channels of an output row."""
        return len(self.bias) // self.rows

    def run(
        self, x: Numbers, start: int, rows: int, *, skip: Numbers = NOWHERE, skip_start: int = 0,
        raw: Numbers = NOWHERE, elu: Numbers | None = None, elu_start: int = 0,
    ) -> None:  # fmt: skip
        """`rows` rows of output, from the numbers of x at `start` on, to `raw` and, bent, to `elu`.

        `skip` is added before. Up to 7 output rows more are read and written: arrays have room.
        """
        count = -(-rows // self.rows)
        # What only the row group's unwanted rows look at must be finite: it is multiplied with 0.
        first, beyond = start + self.inputs - self.step, rows * self.step // self.rows
        x[first + beyond : first + count * self.step] = 0
        thread_team.run(
            multiply, LOOPS, torch.get_num_threads(), x, start, self.step, self.weight,
            self.inputs, self.bias, count, skip, skip_start, raw,
            x[:0] if elu is None else elu, elu_start,
        )  # fmt: skip


def _bias(conv: nn.Conv1d | nn.ConvTranspose1d) -> Tensor:
    if conv.bias is None:
        return torch.zeros(conv.out_channels)
    return conv.bias


def packed(weight: Tensor, half: bool) -> Numbers:
    """[N, K] float32 to panels of 16 outputs, flat."""
    pair = 2 if half else 1
    outputs, inputs = weight.shape
    panels = weight.view(outputs // LANES, LANES, inputs // pair, pair).transpose(1, 2)
    flat = panels.contiguous().flatten()
    return to_half(flat) if half else flat.numpy()


def to_half(x: Tensor) -> Numbers:
    """float32 rounded to bfloat16, as uint16."""
    return x.to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
