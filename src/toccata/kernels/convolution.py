"""Convolutions as matrix products of overlapping parts of the input, without copies.

Signals lie as rows, one per moment, all channels side by side. What a convolution looks at are then
neighbouring numbers, and its output rows are

    out[t] = bias + weight [N, K] x[start + t * step : start + t * step + K]

Weights are panels [N / 16, K, 16] of float32, or [N / 16, K / 2, 16, 2] of bfloat16 that lie as
uint16, and then x is of bfloat16 as well; sums are float32. A row's numbers are added up in the
order of K, whatever rows are beside it.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from toccata.kernels.compiling import compiled, entry
from toccata.kernels.thread_team import ThreadTeam, shared
from toccata.kernels.tiles import add_rows, bent, multiply_add, put_rows, repeated
from toccata.kernels.vectors import LANES

ROWS, COLUMNS = 8, 2
"""The tile: 8 rows of 2 vectors, with which a Zen 4 core reaches 98 % of its peak."""
WIDTH = COLUMNS * LANES
_BLOCK = 16 * ROWS
_LARGE = 2**17  # elements of a matrix that is read once for all rows, not again for each block

Numbers = NDArray[Any]


@compiled
def multiply_tile(
    x: Numbers, at: int, step: int, weight: Numbers, inputs: int, bias: Numbers, column: int
) -> Any:
    """The tile of ROWS output rows and the WIDTH outputs from `column` on."""
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
        put_rows(bent(tile), elu, elu_start + at, outputs, COLUMNS)


LOOPS = 1


@entry
def multiply(
    team: ThreadTeam, x: Numbers, start: int, step: int, weight: Numbers, inputs: int,
    bias: Numbers, rows: int, skip: Numbers, skip_start: int, raw: Numbers, elu: Numbers,
    elu_start: int,
) -> None:  # fmt: skip
    """`rows` rows of output, plus `skip`, to `raw` and after an ELU to `elu`, where not empty."""
    outputs = bias.size
    columns, blocks = outputs // WIDTH, (rows + _BLOCK - 1) // _BLOCK
    large = weight.size > _LARGE
    for task in shared(team, 0, columns * blocks):
        block = task % blocks if large else task // columns
        column = (task // blocks if large else task % columns) * WIDTH
        for row in range(block * _BLOCK, min(rows, (block + 1) * _BLOCK), ROWS):
            tile = multiply_tile(x, start + row * step, step, weight, inputs, bias, column)
            _finish(tile, row * outputs + column, outputs, skip, skip_start, raw, elu, elu_start)
