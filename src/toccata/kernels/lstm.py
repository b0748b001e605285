"""An LSTM over frames with matrices in bfloat16, which are read once for each frame.

A layer computes a chunk of frames while the layer above computes the chunk before, each on its own
core without communication, so that all matrices stay in a third-level cache that is large enough.
The input of each layer is rounded to bfloat16. A layer's output, which is also its recurrent input,
is stored as a pair of bfloat16 numbers: the rounded value, and the rest that rounding left.

hidden [L + 1, T + 1 + CHUNK, 2, H] has these pairs for the input of the first layer and for the
output of each layer; its first row belongs to the frame before the first one. The gates of 16 units
are contiguous: [H / 16, 4, 16].
"""

from __future__ import annotations

from typing import Any

from toccata.kernels.activations import sigmoid, store_rounded, tanh
from toccata.kernels.compiling import compiled, entry
from toccata.kernels.convolution import COLUMNS, ROWS, WIDTH, Numbers, multiply_tile
from toccata.kernels.thread_team import ThreadTeam, shared
from toccata.kernels.tiles import multiply_add, pick, put_rows, zero_tile
from toccata.kernels.vectors import LANES, load, store

GATES = 4
CHUNK = 2 * ROWS
PAIR = 2 * GATES  # vectors of two rows


@compiled
def _input_gates(x: Numbers, start: int, weight: Numbers, bias: Numbers, gates: Numbers) -> None:
    """Compute the gates' share from the layer below, for a chunk of frames."""
    outputs = bias.size
    width = outputs // GATES
    for column in range(0, outputs, WIDTH):
        for row in range(0, CHUNK, ROWS):
            at = (start + row) * 2 * width
            tile = multiply_tile(x, at, 2 * width, weight, width, bias, column)
            put_rows(tile, gates, row * outputs + column, outputs, COLUMNS)


@compiled
def _recurrent_gates(hidden: Numbers, at: int, weight: Numbers, block: int, width: int) -> Any:
    """Compute the gates' share from the layer's last output, for 16 units: two rows of four."""
    panel = LANES * width
    line = block * GATES * panel
    tile = zero_tile(PAIR)
    for k in range(0, width, 2):
        tile = multiply_add(tile, hidden, at + k, width, weight, line + k * LANES, panel, GATES)
    return tile


@compiled
def _frame(
    hidden: Numbers, frame: int, weight: Numbers, gates: Numbers, row: int, cell: Numbers,
    out: Numbers,
) -> None:  # fmt: skip
    width = cell.size
    for block in range(width // LANES):
        tile = _recurrent_gates(hidden, frame * 2 * width, weight, block, width)
        at, unit = (row * width + block * LANES) * GATES, block * LANES
        input_gate = sigmoid(load(gates, at) + (pick(tile, 0) + pick(tile, 4)))
        forget_gate = sigmoid(load(gates, at + 16) + (pick(tile, 1) + pick(tile, 5)))
        candidate = tanh(load(gates, at + 32) + (pick(tile, 2) + pick(tile, 6)))
        output_gate = sigmoid(load(gates, at + 48) + (pick(tile, 3) + pick(tile, 7)))
        state = forget_gate * load(cell, unit) + input_gate * candidate
        store(cell, unit, state)
        value = output_gate * tanh(state)
        store(out, frame * width + unit, value)
        later = (frame + 1) * 2 * width + unit
        store_rounded(hidden, later, value)
        store_rounded(hidden, later + width, value - load(hidden, later))


@compiled
def _chunk(
    layer: int, first: int, input_weight: Numbers, recurrent_weight: Numbers, bias: Numbers,
    hidden: Numbers, cell: Numbers, gates: Numbers, out: Numbers,
) -> None:  # fmt: skip
    _input_gates(hidden[layer], first + 1, input_weight[layer], bias[layer], gates[layer])
    above, matrix = hidden[layer + 1], recurrent_weight[layer]
    for row in range(min(CHUNK, out.shape[0] - first)):
        _frame(above, first + row, matrix, gates[layer], row, cell[layer], out)


def loops(layers: int, frames: int) -> int:
    """Return how many parallel loops `advance` has; in each, every layer computes one chunk."""
    return -(-frames // CHUNK) + layers - 1


@entry
def advance(
    team: ThreadTeam, input_weight: Numbers, recurrent_weight: Numbers, bias: Numbers,
    hidden: Numbers, cell: Numbers, gates: Numbers, out: Numbers,
) -> None:  # fmt: skip
    """Compute T frames with all layers.

    Args:
        team: The threads.
        input_weight: For each layer the matrix of its input.
        recurrent_weight: For each layer the matrix of its own last output.
        bias: For each layer the bias of its gates.
        hidden: Inputs and outputs as pairs, see above; updated.
        cell: The cell state [L, H]; updated.
        gates: Workspace for the gates of a chunk, for each layer.
        out: The output of the last layer, [T, H] float32.
    """
    layers, frames = cell.shape[0], out.shape[0]
    for wave in range((frames + CHUNK - 1) // CHUNK + layers - 1):
        for layer in shared(team, wave, layers):
            first = (wave - layer) * CHUNK
            if 0 <= first < frames:
                _chunk(layer, first, input_weight, recurrent_weight, bias, hidden, cell, gates, out)
