"""Quantise rows of float32 to 8 bits, in groups of 64 that share a scale.

A group's largest magnitude becomes 127. Each row is computed independently. A row that is not
finite gets a scale that is not finite, and so do all products with it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toccata.kernels.compiling import compiled
from toccata.kernels.thread_team import ThreadTeam, shared
from toccata.kernels.vectors import (
    load,
    nearest,
    peak,
    splat,
    store,
    total,
    total_int,
)

GROUP = 64
HALF_GROUP = GROUP // 2
ROWS = 8
"""Kernels compute up to so many rows at a time; rows are padded to a multiple of it."""

FULL, NOTHING, NORM_EPS = np.float32(127), np.float32(0), np.float32(1e-5)


class Rounded(NamedTuple):
    """Rows [M, D], quantised to 8 bits; M' >= M is the padded number of rows.

    Attributes:
        numbers: [M', D] int8.
        scales: [M', D / 64]; a row is its numbers times the scale of their group.
        offsets: [M', D / 64], -128 times the sum of a group's numbers, for int8 weights, which are
            stored with 128 added.
        totals: [M', D / 32], the sums of half groups, for the lows of int4 weights.
    """

    numbers: NDArray[np.int8]
    scales: NDArray[np.float32]
    offsets: NDArray[np.int32]
    totals: NDArray[np.float32]

    @classmethod
    def empty(cls, rows: int, width: int) -> Rounded:
        """Allocate so many rows of `width` numbers."""
        padded = padded_rows(rows)
        return cls(
            np.zeros((padded, width), np.int8),
            np.zeros((padded, width // GROUP), np.float32),
            np.zeros((padded, width // GROUP), np.int32),
            np.zeros((padded, width // HALF_GROUP), np.float32),
        )

    def first(self, rows: int) -> Rounded:
        """Return views of the first rows, whose number is a multiple of ROWS."""
        numbers, scales, offsets, totals = self
        return Rounded(numbers[:rows], scales[:rows], offsets[:rows], totals[:rows])


def padded_rows(rows: int) -> int:
    """Round a number of rows up to a multiple of ROWS."""
    return -(-rows // ROWS) * ROWS


@compiled
def round_group(a: Any, b: Any, c: Any, d: Any, into: Rounded, row: int, group: int) -> None:
    """Round the 64 numbers of a, b, c, d to a group of `row`."""
    top = peak(a, b, c, d)
    finer = splat(FULL / top if top > NOTHING else NOTHING)
    groups = into.scales.shape[1]
    at = (row * groups + group) * GROUP
    na, nb = nearest(a * finer), nearest(b * finer)
    nc, nd = nearest(c * finer), nearest(d * finer)
    store(into.numbers, at, na)
    store(into.numbers, at + 16, nb)
    store(into.numbers, at + 32, nc)
    store(into.numbers, at + 48, nd)
    first, second = total_int(na) + total_int(nb), total_int(nc) + total_int(nd)
    into.scales[row, group] = top / FULL
    into.offsets[row, group] = -128 * (first + second)
    into.totals[row, 2 * group] = first
    into.totals[row, 2 * group + 1] = second


@compiled
def _round_row(x: NDArray[np.float32], into: Rounded, row: int) -> None:
    width = x.shape[1]
    for group in range(width // GROUP):
        at = row * width + group * GROUP
        round_group(
            load(x, at), load(x, at + 16), load(x, at + 32), load(x, at + 48), into, row, group
        )


@compiled
def round_rows(
    team: ThreadTeam, loop: int, x: NDArray[np.float32], rows: int, into: Rounded
) -> None:
    """Round the first `rows` of x [M', D] without a norm."""
    for row in shared(team, loop, rows):
        _round_row(x, into, row)


@compiled
def _normalise_row(
    x: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32], into: Rounded,
    row: int,
) -> None:  # fmt: skip
    width = x.shape[1]
    start = row * width
    sums = splat(NOTHING)
    for at in range(start, start + width, 16):
        sums = sums + load(x, at)
    mean = splat(total(sums) / np.float32(width))
    squares = splat(NOTHING)
    for at in range(start, start + width, 16):
        away = load(x, at) - mean
        squares = squares + away * away
    spread = total(squares) / np.float32(width) + NORM_EPS
    scale = splat(np.float32(1) / np.sqrt(spread))
    for group in range(width // GROUP):
        at = group * GROUP
        a = (load(x, start + at) - mean) * scale * load(weight, at) + load(bias, at)
        b = (load(x, start + at + 16) - mean) * scale * load(weight, at + 16) + load(bias, at + 16)
        c = (load(x, start + at + 32) - mean) * scale * load(weight, at + 32) + load(bias, at + 32)
        d = (load(x, start + at + 48) - mean) * scale * load(weight, at + 48) + load(bias, at + 48)
        round_group(a, b, c, d, into, row, group)


@compiled
def normalise(
    team: ThreadTeam, loop: int, x: NDArray[np.float32], weight: NDArray[np.float32],
    bias: NDArray[np.float32], rows: int, into: Rounded,
) -> None:  # fmt: skip
    """Apply layer norm to the first `rows` of x [M', D], and round the result."""
    for row in shared(team, loop, rows):
        _normalise_row(x, weight, bias, into, row)
