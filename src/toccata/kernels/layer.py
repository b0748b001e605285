"""The sublayers of a transformer layer, each one call: x [M', D] float32 grows by what it adds.

M rows are R rows of the cache times `steps` positions of each; M' is padded, see `rounding`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from toccata.kernels.attention import Cache, Places, attend_memory, attend_self, remember_memory
from toccata.kernels.compiling import entry
from toccata.kernels.matmul import Floats, Matrix, multiply, multiply_and_bend
from toccata.kernels.rounding import Rounded, normalise, padded_rows, round_rows


class Norm(NamedTuple):
    weight: Floats
    bias: Floats


class Scratch(NamedTuple):
    """Room for what lies between: rounded rows [M', D] and [M', F], products [M', 3 D], [M', F]."""

    narrow: Rounded
    wide: Rounded
    triple: Floats
    inner: Floats

    @classmethod
    def empty(cls, rows: int, dim: int, ffn_dim: int) -> Scratch:
        padded = padded_rows(rows)
        return cls(
            Rounded.empty(rows, dim),
            Rounded.empty(rows, ffn_dim),
            np.zeros((padded, 3 * dim), np.float32),
            np.zeros((padded, ffn_dim), np.float32),
        )

    def first(self, rows: int) -> Scratch:
        """The same memory for fewer rows, a whole multiple of the padding."""
        narrow, wide = self.narrow.first(rows), self.wide.first(rows)
        return Scratch(narrow, wide, self.triple[:rows], self.inner[:rows])


@entry
def add_self_attention(
    x: Floats, norm: Norm, qkv: Matrix, out: Matrix, rows: Places, starts: Places, steps: int,
    cache: Cache, room: Scratch,
) -> None:  # fmt: skip
    """`steps` positions from starts[i] on of each rows[i]."""
    count = len(rows) * steps
    normalise(x, norm.weight, norm.bias, count, room.narrow)
    multiply(room.narrow, qkv, count, room.triple, False)
    attend_self(room.triple, rows, starts, steps, cache, room.narrow)
    multiply(room.narrow, out, count, x, True)


@entry
def add_cross_attention(
    x: Floats, norm: Norm, query: Matrix, out: Matrix, rows: Places, lengths: Places, steps: int,
    memory: Cache, queries: Floats, room: Scratch,
) -> None:  # fmt: skip
    """lengths: of the memory of each row there is; queries [M', D] is room."""
    count = len(rows) * steps
    normalise(x, norm.weight, norm.bias, count, room.narrow)
    multiply(room.narrow, query, count, queries, False)
    attend_memory(queries, rows, lengths, steps, memory, room.narrow)
    multiply(room.narrow, out, count, x, True)


@entry
def add_feed_forward(
    x: Floats, norm: Norm, into: Matrix, out: Matrix, count: int, room: Scratch
) -> None:
    normalise(x, norm.weight, norm.bias, count, room.narrow)
    multiply_and_bend(room.narrow, into, count, room.inner, room.wide)
    multiply(room.wide, out, count, x, True)


@entry
def normalised_product(
    x: Floats, norm: Norm, matrix: Matrix, count: int, rounded: Rounded, out: Floats
) -> None:
    """matrix times the norm of x [M', D] -> out [M', N]."""
    normalise(x, norm.weight, norm.bias, count, rounded)
    multiply(rounded, matrix, count, out, False)


@entry
def product(x: Floats, matrix: Matrix, rounded: Rounded, out: Floats) -> None:
    """matrix times x [M, D] -> out [M', N]."""
    round_rows(x, rounded)
    multiply(rounded, matrix, x.shape[0], out, False)


@entry
def keep_memory(both: Floats, row: int, length: int, memory: Cache) -> None:
    """both [L', 2 D]: keys and values of what `row` cross-attends to."""
    remember_memory(both, row, length, memory)
