"""Products of quantised rows with packed matrices.

A block has sixteen outputs, a word has four adjacent inputs, and the words of a block are
contiguous:

    int8   bytes [N / 16, D / 4, 16, 4], weight + 128; one scale [N] per output
    int4   bytes [N / 16, D / 8, 16, 4]: the lower half of a byte is a weight of one word, the upper
           half that of the next; a scale and a low [N / 16, D / 32, 2, 16] bfloat16 for each 32
           inputs of an output, weight = scale * number + low

Within a group of 64 inputs (32 in int4) products are added as integers; the sums of groups are
added in float32 from the first group on. A row has therefore the same bits in a batch of any size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toccata.kernels.compiling import compiled, overload
from toccata.kernels.dot_products import (
    add_scaled,
    dots,
    even_nibbles,
    odd_nibbles,
    put,
    spread,
    times,
    with_lows,
    zero_ints,
    zeros,
)
from toccata.kernels.elementary import gelu
from toccata.kernels.rounding import GROUP, Rounded, round_group
from toccata.kernels.thread_team import ThreadTeam, shared
from toccata.kernels.vectors import load, load_bytes, prefetch

BLOCK = 16
WORD = 4
LINE = 64  # bytes of one word of a block
INT4_GROUP = 32

Floats = NDArray[np.float32]


class Int8Matrix(NamedTuple):
    """A packed matrix of 8-bit weights, with a scale per output."""

    weight: NDArray[np.uint8]
    scales: Floats


class Int4Matrix(NamedTuple):
    """A packed matrix of 4-bit weights, with a scale and a low per 32 inputs of an output."""

    weight: NDArray[np.uint8]
    scales: NDArray[np.uint16]


Matrix = Int8Matrix | Int4Matrix


def _int8_tile(count: int) -> Any:
    """Return the function that multiplies `count` rows with a block, as a tuple of FLOATS."""

    @compiled
    def tile(x: Rounded, matrix: Int8Matrix, row: int, block: int) -> Any:
        groups = x.scales.shape[1]
        width = groups * GROUP
        size = width // WORD * LINE
        line = block * size
        sums = zeros(count)
        for group in range(groups):
            accs = spread(x.offsets, row * groups + group, groups, count)
            first = row * width + group * GROUP
            for at in range(first, first + GROUP, WORD):
                accs = dots(accs, load_bytes(matrix.weight, line), x.numbers, at, width)
                prefetch(matrix.weight, line + size)
                line += LINE
            sums = add_scaled(sums, accs, x.scales, row * groups + group, groups)
        return times(sums, load(matrix.scales, block * BLOCK))

    return tile


def _int4_tile(count: int) -> Any:
    """Return the same function for an Int4Matrix."""

    @compiled
    def tile(x: Rounded, matrix: Int4Matrix, row: int, block: int) -> Any:
        groups = x.scales.shape[1]
        width, int4_groups = groups * GROUP, groups * 2
        size = width // WORD // 2 * LINE
        line = block * size
        sums = zeros(count)
        for group in range(int4_groups):
            accs = zero_ints(count)
            first = row * width + group * INT4_GROUP
            for at in range(first, first + INT4_GROUP, 2 * WORD):
                packed = load_bytes(matrix.weight, line)
                prefetch(matrix.weight, line + size)
                accs = dots(accs, even_nibbles(packed), x.numbers, at, width)
                accs = dots(accs, odd_nibbles(packed), x.numbers, at + WORD, width)
                line += LINE
            place = (block * int4_groups + group) * 2 * BLOCK
            scale, low = load(matrix.scales, place), load(matrix.scales, place + BLOCK)
            parts = with_lows(accs, scale, low, x.totals, row * int4_groups + group, int4_groups)
            sums = add_scaled(sums, parts, x.scales, row * groups + group // 2, groups)
        return sums

    return tile


_TILES = {
    Int8Matrix: tuple(_int8_tile(count) for count in (2, 4, 8)),
    Int4Matrix: tuple(_int4_tile(count) for count in (2, 4, 8)),
}


def _multiply_block(
    x: Rounded, matrix: Matrix, block: int, rows: int, out: Floats, add: bool
) -> None:
    """Multiply `rows` rows with one block; the overload below is for each type of matrix."""
    raise NotImplementedError


@overload(_multiply_block)
def _typed(x: Any, matrix: Any, block: Any, rows: Any, out: Any, add: Any) -> Any:
    two, four, eight = _TILES[matrix.instance_class]

    def run(x: Any, matrix: Any, block: Any, rows: Any, out: Any, add: Any) -> Any:
        width = out.shape[1]
        row, at = 0, block * BLOCK
        while rows - row > 4:
            put(out, row * width + at, width, eight(x, matrix, row, block), add)
            row += 8
        if rows - row > 2:
            put(out, row * width + at, width, four(x, matrix, row, block), add)
        elif rows > row:
            put(out, row * width + at, width, two(x, matrix, row, block), add)

    return run


@compiled
def multiply(
    team: ThreadTeam, loop: int, x: Rounded, matrix: Matrix, rows: int, out: Floats, add: bool
) -> None:
    """Multiply the first `rows` of x, and write or add the products to out [M', N].

    The rows of `out` from `rows` on are overwritten with arbitrary numbers.
    """
    for block in shared(team, loop, out.shape[1] // BLOCK):
        _multiply_block(x, matrix, block, rows, out, add)


@compiled
def _gelu_group(
    x: Rounded, matrix: Matrix, rows: int, out: Floats, into: Rounded, group: int
) -> None:
    width = out.shape[1]
    for block in range(group * GROUP // BLOCK, (group + 1) * GROUP // BLOCK):
        _multiply_block(x, matrix, block, rows, out, False)
    for row in range(rows):
        at = row * width + group * GROUP
        a, b = gelu(load(out, at)), gelu(load(out, at + 16))
        c, d = gelu(load(out, at + 32)), gelu(load(out, at + 48))
        round_group(a, b, c, d, into, row, group)


@compiled
def matmul_gelu(
    team: ThreadTeam, loop: int, x: Rounded, matrix: Matrix, rows: int, out: Floats, into: Rounded
) -> None:
    """Multiply the first `rows` of x, apply GELU, and round to `into`.

    `out` [M', N] is workspace for the product.
    """
    for group in shared(team, loop, out.shape[1] // GROUP):
        _gelu_group(x, matrix, rows, out, into, group)
