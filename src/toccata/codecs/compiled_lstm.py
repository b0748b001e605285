"""The LSTM of SEANet on the compiled kernel with matrices in bfloat16, see `kernels.lstm`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from toccata.codecs.conv_matmul import packed, to_half
from toccata.kernels import thread_team
from toccata.kernels.convolution import Numbers
from toccata.kernels.lstm import CHUNK, GATES, advance, loops
from toccata.kernels.vectors import LANES


class State(NamedTuple):
    """The state of an LSTM with L layers.

    Attributes:
        hidden: [L, 2, H], the output in bfloat16 as uint16, and the rest that rounding left.
        cell: [L, H] float32.
    """

    hidden: Numbers
    cell: Numbers


class Recurrence:
    """An nn.LSTM for one sequence; H must be a multiple of 16."""

    def __init__(self, lstm: nn.LSTM) -> None:
        self._layers, self._width = lstm.num_layers, lstm.hidden_size
        read = [self._matrices(lstm, layer) for layer in range(self._layers)]
        parts = [np.stack(part) for part in zip(*read, strict=True)]
        self._input_weight, self._recurrent_weight, self._bias = parts

    def run(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Compute T frames: x [T, H] float32 -> the last layer's output [T, H], and the state."""
        frames, layers, width = len(x), self._layers, self._width
        hidden = np.zeros((layers + 1, frames + 1 + CHUNK, 2, width), np.uint16)
        hidden[0, 1 : frames + 1, 0] = to_half(x)
        cell = np.zeros((layers, width), np.float32)
        if state is not None:
            hidden[1:, 0], cell[:] = state
        gates = np.empty((layers, CHUNK, GATES * width), np.float32)
        out = np.empty((frames, width), np.float32)
        thread_team.run(
            advance, loops(layers, frames), torch.get_num_threads(), self._input_weight,
            self._recurrent_weight, self._bias, hidden, cell, gates, out,
        )  # fmt: skip
        return torch.from_numpy(out), State(hidden[1:, frames].copy(), cell)

    def _matrices(self, lstm: nn.LSTM, layer: int) -> tuple[Numbers, Numbers, Numbers]:
        """Pack a layer's input weight, recurrent weight and bias, with the gates of 16 units
        contiguous.
        """
        values = dict(lstm.named_parameters())
        bias = values[f"bias_ih_l{layer}"] + values[f"bias_hh_l{layer}"]

        def ordered(rows: Tensor) -> Tensor:
            blocks = rows.detach().float().view(GATES, self._width // LANES, LANES, -1)
            return blocks.transpose(0, 1).reshape(rows.shape)

        weights = (ordered(values[f"weight_{kind}_l{layer}"]) for kind in ("ih", "hh"))
        input_weight, recurrent_weight = (packed(weight, True) for weight in weights)
        return input_weight, recurrent_weight, ordered(bias).numpy()
