"""An LSTM over frames with matrices in bfloat16, which are read once for each frame.

A layer works through a chunk of frames while the one above it works through the chunk before, each
on a core of its own with no word between them. All matrices then stay in a third-level cache that
holds them. What is rounded is the input of each layer; its own output comes back to it as a
bfloat16 and another for what its rounding left.

hidden [L + 1, T + 1 + CHUNK, 2, H] holds these pairs: of the input below the layers and of each
layer, after a row for the frame before the first. Gates of 16 units lie together: [H / 16, 4, 16].
"""

from __future__ import annotations

from typing import Any

from toccata.kernels.activations import sigmoid, store_rounded, tanh
from toccata.kernels.compiling import compiled, entry
from toccata.kernels.convolution import COLUMNS, ROWS, WIDTH, Numbers, multiply_tile
from toccata.kernels.thread_team import ThreadTeam, shared
from toccata.kernels.tiles import multiply_add, no_tile, pick, put_rows
from toccata.kernels.vectors import LANES, load, store

GATES = 4
CHUNK = 2 * ROWS
PAIR = 2 * GATES  # vectors of two rows


@compiled
def _enter(x: Numbers, start: int, weight: Numbers, bias: Numbers, gates: Numbers) -> None:
    """Of a chunk of frames, what the gates get from the layer below."""
    outputs = bias.size
    width = outputs // GATES
    for column in range(0, outputs, WIDTH):
        for row in range(0, CHUNK, ROWS):
            at = (start + row) * 2 * width
            tile = multiply_tile(x, at, 2 * width, weight, width, bias, column)
            put_rows(tile, gates, row * outputs + column, outputs, COLUMNS)


@compiled
def _return(hidden: Numbers, at: int, weight: Numbers, block: int, width: int) -> Any:
    """The gates of 16 units from the layer's last output: two rows of four."""
    panel = LANES * width
    line = block * GATES * panel
    tile = no_tile(PAIR)
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
        tile = _return(hidden, frame * 2 * width, weight, block, width)
        at, unit = (row * width + block * LANES) * GATES, block * LANES
        enter = sigmoid(load(gates, at) + (pick(tile, 0) + pick(tile, 4)))
        keep = sigmoid(load(gates, at + 16) + (pick(tile, 1) + pick(tile, 5)))
        new = tanh(load(gates, at + 32) + (pick(tile, 2) + pick(tile, 6)))
        leave = sigmoid(load(gates, at + 48) + (pick(tile, 3) + pick(tile, 7)))
        kept = keep * load(cell, unit) + enter * new
        store(cell, unit, kept)
        value = leave * tanh(kept)
        store(out, frame * width + unit, value)
        later = (frame + 1) * 2 * width + unit
        store_rounded(hidden, later, value)
        store_rounded(hidden, later + width, value - load(hidden, later))


@compiled
def _chunk(
    layer: int, first: int, entering: Numbers, returning: Numbers, bias: Numbers, hidden: Numbers,
    cell: Numbers, gates: Numbers, out: Numbers,
) -> None:  # fmt: skip
    _enter(hidden[layer], first + 1, entering[layer], bias[layer], gates[layer])
    above, matrix = hidden[layer + 1], returning[layer]
    for row in range(min(CHUNK, out.shape[0] - first)):
        _frame(above, first + row, matrix, gates[layer], row, cell[layer], out)


def loops(layers: int, frames: int) -> int:
    """How many shared loops `advance` has: in each, every layer has one chunk of frames."""
    return -(-frames // CHUNK) + layers - 1


@entry
def advance(
    team: ThreadTeam, entering: Numbers, returning: Numbers, bias: Numbers, hidden: Numbers,
    cell: Numbers, gates: Numbers, out: Numbers,
) -> None:  # fmt: skip
    """hidden and cell are as after the last frame then; out [T, H] is what the last layer says."""
    layers, frames = cell.shape[0], out.shape[0]
    for wave in range((frames + CHUNK - 1) // CHUNK + layers - 1):
        for layer in shared(team, wave, layers):
            first = (wave - layer) * CHUNK
            if 0 <= first < frames:
                _chunk(layer, first, entering, returning, bias, hidden, cell, gates, out)
