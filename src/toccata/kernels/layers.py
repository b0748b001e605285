"""The entry points of the kernels: the layers of a step, the heads, and one matrix product.

There are M = R * steps rows, `steps` positions of each of R rows of the cache. M' is M rounded up,
see `rounding`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from toccata.kernels.attention import Cache, Places, attend_memory, attend_self, store_head
from toccata.kernels.compiling import compiled, entry
from toccata.kernels.matmul import Floats, Int8Matrix, Matrix, matmul_gelu, multiply
from toccata.kernels.rounding import Rounded, normalise, padded_rows, round_rows
from toccata.kernels.tables import (
    CACHE,
    CROSS_OUT,
    FROM,
    INTO,
    MEMORY,
    NORM_CROSS,
    NORM_FFN,
    NORM_SELF,
    OUT,
    QKV,
    QUERY,
    Table,
    cache_at,
    floats_at,
    matrix_at,
)
from toccata.kernels.thread_team import ThreadTeam, shared

LAYER_LOOPS, HEADS_LOOPS = 12, 2
LOOP_PARTS = (
    "norms", "matrices", "attention", "matrices",
    "norms", "matrices", "attention", "matrices",
    "norms", "matrices", "matrices", "norms",
)  # fmt: skip
"""The part of the computation that each loop of a layer belongs to."""


class Workspace(NamedTuple):
    """Buffers for M rows.

    Attributes:
        x: The residual stream, [M', D].
        queries: The queries of cross-attention, [M', D].
        narrow: Inputs of matrix products, rounded, [M', D].
        wide: Inputs of the second feed-forward matrix, rounded, [M', F].
        triple: Queries, keys and values, [M', 3 D].
        inner: Outputs of the first feed-forward matrix, [M', F].
    """

    x: Floats
    queries: Floats
    narrow: Rounded
    wide: Rounded
    triple: Floats
    inner: Floats

    @classmethod
    def empty(cls, rows: int, dim: int, ffn_dim: int) -> Workspace:
        """Allocate buffers for so many rows."""
        rows = padded_rows(rows)
        x, queries, triple, inner = (
            np.zeros((rows, width), np.float32) for width in (dim, dim, 3 * dim, ffn_dim)
        )
        narrow, wide = Rounded.empty(rows, dim), Rounded.empty(rows, ffn_dim)
        return cls(x, queries, narrow, wide, triple, inner)

    def first(self, rows: int) -> Workspace:
        """Return views of the first rows, whose number is a multiple of `rounding.ROWS`."""
        return Workspace(
            self.x[:rows],
            self.queries[:rows],
            self.narrow.first(rows),
            self.wide.first(rows),
            self.triple[:rows],
            self.inner[:rows],
        )


class Sizes(NamedTuple):
    """The sizes of the self-attention cache, and of the memory that is cross-attended to."""

    rows: int
    heads: int
    positions: int
    memory_rows: int
    memory_positions: int


class Heads(NamedTuple):
    """The heads of all codebooks as one matrix, and the norm before it."""

    norm: Floats
    bias: Floats
    matrix: Int8Matrix


@entry
def run_layers(
    team: ThreadTeam, table: Table, like: Matrix, sizes: Sizes, rows: Places, starts: Places,
    steps: int, lengths: Places, workspace: Workspace, heads: Heads, logits: Floats,
) -> None:  # fmt: skip
    """Run all layers, and the heads if `logits` is not empty.

    Args:
        team: The threads.
        table: The addresses of each layer's arrays.
        like: Any matrix of the layers, for its type.
        sizes: The sizes of the caches.
        rows: The R rows of the cache that are computed.
        starts: The first position of each of them.
        steps: How many positions of each row are computed.
        lengths: The length of the memory of every row in the cache.
        workspace: Buffers; workspace.x has the input of the first layer.
        heads: The heads of all codebooks.
        logits: The output [M', K * card] float32; empty if it is not needed.
    """
    count = len(rows) * steps
    for number in range(len(table)):
        layer, loop = table[number], number * LAYER_LOOPS
        _add_self_attention(team, loop, layer, like, sizes, rows, starts, steps, workspace)
        if layer[QUERY]:
            _add_cross_attention(
                team, loop + 4, layer, like, sizes, rows, lengths, steps, workspace
            )
        _add_feed_forward(team, loop + 8, layer, like, count, workspace)
    if len(logits) > 0:
        loop = len(table) * LAYER_LOOPS
        normalise(team, loop, workspace.x, heads.norm, heads.bias, count, workspace.narrow)
        multiply(team, loop + 1, workspace.narrow, heads.matrix, count, logits, False)


@compiled
def _normalise(
    team: ThreadTeam, loop: int, layer: Places, at: int, count: int, workspace: Workspace
) -> None:
    dim = workspace.x.shape[1]
    weight, bias = floats_at(layer[at], dim), floats_at(layer[at + 1], dim)
    normalise(team, loop, workspace.x, weight, bias, count, workspace.narrow)


@compiled
def _add_self_attention(
    team: ThreadTeam, loop: int, layer: Places, like: Matrix, sizes: Sizes, rows: Places,
    starts: Places, steps: int, workspace: Workspace,
) -> None:  # fmt: skip
    count = len(rows) * steps
    cache = cache_at(layer[CACHE], layer[CACHE + 1], sizes.rows, sizes.heads, sizes.positions)
    qkv = matrix_at(like, layer[QKV], layer[QKV + 1])
    out = matrix_at(like, layer[OUT], layer[OUT + 1])
    _normalise(team, loop, layer, NORM_SELF, count, workspace)
    multiply(team, loop + 1, workspace.narrow, qkv, count, workspace.triple, False)
    attend_self(team, loop + 2, workspace.triple, rows, starts, steps, cache, workspace.narrow)
    multiply(team, loop + 3, workspace.narrow, out, count, workspace.x, True)


@compiled
def _add_cross_attention(
    team: ThreadTeam, loop: int, layer: Places, like: Matrix, sizes: Sizes, rows: Places,
    lengths: Places, steps: int, workspace: Workspace,
) -> None:  # fmt: skip
    count = len(rows) * steps
    memory = cache_at(
        layer[MEMORY], layer[MEMORY + 1], sizes.memory_rows, sizes.heads, sizes.memory_positions
    )
    query = matrix_at(like, layer[QUERY], layer[QUERY + 1])
    out = matrix_at(like, layer[CROSS_OUT], layer[CROSS_OUT + 1])
    _normalise(team, loop, layer, NORM_CROSS, count, workspace)
    multiply(team, loop + 1, workspace.narrow, query, count, workspace.queries, False)
    attend_memory(team, loop + 2, workspace.queries, rows, lengths, steps, memory, workspace.narrow)
    multiply(team, loop + 3, workspace.narrow, out, count, workspace.x, True)


@compiled
def _add_feed_forward(
    team: ThreadTeam, loop: int, layer: Places, like: Matrix, count: int, workspace: Workspace
) -> None:
    into = matrix_at(like, layer[INTO], layer[INTO + 1])
    out = matrix_at(like, layer[FROM], layer[FROM + 1])
    _normalise(team, loop, layer, NORM_FFN, count, workspace)
    matmul_gelu(team, loop + 1, workspace.narrow, into, count, workspace.inner, workspace.wide)
    multiply(team, loop + 2, workspace.wide, out, count, workspace.x, True)


PRODUCT_LOOPS = 2


@entry
def product(
    team: ThreadTeam, x: Floats, matrix: Matrix, rows: int, rounded: Rounded, out: Floats
) -> None:
    """Multiply the first `rows` of x [M', D] with a matrix -> out [M', N]."""
    round_rows(team, 0, x, rows, rounded)
    multiply(team, 1, rounded, matrix, rows, out, False)


MEMORY_LOOPS = 1


@entry
def store_memory(team: ThreadTeam, both: Floats, row: int, length: int, memory: Cache) -> None:
    """Store keys and values, from both [L', 2 D], to which `row` cross-attends."""
    for head in shared(team, 0, memory.keys.shape[1]):
        store_head(both, row, length, memory, head)
