"""A convolution of SEANet as one matrix product without copies, see `kernels.convolution`.

The step of the product is the convolution's stride. A transposed convolution whose kernel is twice
its stride computes `stride` output rows from two input rows in one product. Where N is less than
the width of a tile, one row of the product has several rows of the output.
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
    """The packed weights of a convolution.

    Attributes:
        weight: Panels [N / 16, K, 16] float32, or [N / 16, K / 2, 16, 2] bfloat16 as uint16.
        bias: [N].
        step: By how many numbers the input of an output row is after that of the row before.
        inputs: How many numbers an output row reads, K.
        rows: How many rows of the signal an output row has.
    """

    weight: Numbers
    bias: Numbers
    step: int
    inputs: int
    rows: int

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, step: int, *, half: bool) -> Product:
        """Pack a convolution.

        Args:
            weight: [N, taps, C].
            bias: [N].
            step: The stride, in rows of the input.
            half: Whether to round to bfloat16.

        Raises:
            ValueError: If the number of inputs is odd, but bfloat16 needs pairs.
        """
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
        """Pack a transposed convolution whose kernel is twice its stride.

        Row t of the product has output rows t * stride .. (t + 1) * stride - 1, from input rows
        t - 1 and t.
        """
        fan_in, fan_out, stride = *conv.weight.shape[:2], conv.stride[0]
        taps = conv.weight.reshape(fan_in, fan_out, 2, stride).flip(2)
        weight = taps.permute(3, 1, 2, 0).flatten(0, 1)
        return cls.of(weight, _bias(conv).repeat(stride), 1, half=half)

    @property
    def width(self) -> int:
        """The number of channels of the output signal."""
        return len(self.bias) // self.rows

    def run(
        self, x: Numbers, start: int, rows: int, *, skip: Numbers = NOWHERE, skip_start: int = 0,
        raw: Numbers = NOWHERE, elu: Numbers | None = None, elu_start: int = 0,
    ) -> None:  # fmt: skip
        """Compute `rows` rows of output.

        Args:
            x: The input, flat.
            start: The index of the first input of the first row.
            rows: The number of rows; up to 7 rows more are written, for which arrays need slack.
            skip: Added to the output; empty for none.
            skip_start: The index of the first number of `skip`.
            raw: The output; empty to skip it.
            elu: The output after ELU; None to skip it.
            elu_start: The index of its first number.
        """
        count = -(-rows // self.rows)
        # Rows that complete a group of output rows read these; they are multiplied with 0 and must
        # be finite.
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
    """Pack weight [N, K] float32 to panels of 16 outputs, flat."""
    pair = 2 if half else 1
    outputs, inputs = weight.shape
    panels = weight.view(outputs // LANES, LANES, inputs // pair, pair).transpose(1, 2)
    flat = panels.contiguous().flatten()
    return to_half(flat) if half else flat.numpy()


def to_half(x: Tensor) -> Numbers:
    """Round float32 to bfloat16, as uint16."""
    return x.to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
