"""Convolutions as matrix products of overlapping parts of the input, without copies.

A signal is stored as rows, one per time step, with all channels in a row. The inputs of a
convolution are then contiguous, and its output rows are

    out[t] = bias + weight [N, K] x[start + t * step : start + t * step + K]

Weights are panels [N / 16, K, 16] of float32, or [N / 16, K / 2, 16, 2] of bfloat16 stored as
uint16, with x in bfloat16 as well; sums are float32. The products of a row are added in the order
of K, whatever other rows there are.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from toccata.kernels.compiling import compiled, entry
from toccata.kernels.thread_team import ThreadTeam, shared
from toccata.kernels.tiles import add_rows, elu_tile, multiply_add, put_rows, repeated
from toccata.kernels.vectors import LANES

ROWS, COLUMNS = 8, 2
"""The size of a tile: 8 rows of 2 vectors, with which a Zen 4 core reaches 98 % of its peak."""
WIDTH = COLUMNS * LANES
_BLOCK = 16 * ROWS
_LARGE = 2**17  # a matrix with more elements is read once for all rows, not for each block of them

Numbers = NDArray[Any]


@compiled
def multiply_tile(
    x: Numbers, at: int, step: int, weight: Numbers, inputs: int, bias: Numbers, column: int
) -> Any:
    """Compute the tile of ROWS output rows and the WIDTH outputs from `column` on."""
    tile = repeated(ROWS, COLUMNS, bias, column)
    panel = LANES * inputs
    line = column * inputs
    width = 1 if x.itemsize == 4 else 2
    for k in range(0, inputs, width):
        tile = multiply_add(tile, x, at + k, step, weight, line + k * LANES, panel, COLUMNS)
    return tile


@compiled
def _finish(
    tile: Any, at: int, outputs: int, skip: Numbers, skip_start: int, raw: Numbers, elu: Numbers,
    elu_start: int,
) -> None:  # fmt: skip
    if skip.size > 0:
        tile = add_rows(tile, skip, skip_start + at, outputs, COLUMNS)
    if raw.size > 0:
        put_rows(tile, raw, at, outputs, COLUMNS)
    if elu.size > 0:
        put_rows(elu_tile(tile), elu, elu_start + at, outputs, COLUMNS)


LOOPS = 1


@entry
def multiply(
    team: ThreadTeam, x: Numbers, start: int, step: int, weight: Numbers, inputs: int,
    bias: Numbers, rows: int, skip: Numbers, skip_start: int, raw: Numbers, elu: Numbers,
    elu_start: int,
) -> None:  # fmt: skip
    """Compute `rows` rows of output and add `skip`.

    They are written to `raw`, and after an ELU to `elu`; an empty array is skipped.
    """
    outputs = bias.size
    columns, blocks = outputs // WIDTH, (rows + _BLOCK - 1) // _BLOCK
    large = weight.size > _LARGE
    for task in shared(team, 0, columns * blocks):
        block = task % blocks if large else task // columns
        column = (task // blocks if large else task % columns) * WIDTH
        for row in range(block * _BLOCK, min(rows, (block + 1) * _BLOCK), ROWS):
            tile = multiply_tile(x, start + row * step, step, weight, inputs, bias, column)
            _finish(tile, row * outputs + column, outputs, skip, skip_start, raw, elu, elu_start)
