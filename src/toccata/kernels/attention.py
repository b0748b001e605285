"""Attention of one query at a time to a cache in bfloat16, with heads of width 64, in one pass.

Keys are stored in blocks of 16 positions, [rows, heads, P / 16, 64, 16], so that the scores of a
block are the lanes of one vector; values are [rows, heads, P, 64]. The softmax is computed online:
the maximum so far is kept, and the sums are rescaled when it rises (Milakov & Gimelshein 2018,
algorithm 3). One thread reads the blocks of a query in order, so that its result depends on its own
row alone.
"""

from __future__ import annotations

import math
from mmap import mmap
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from toccata.kernels.compiling import compiled, instruction
from toccata.kernels.elementary import exp
from toccata.kernels.rounding import Rounded, round_group
from toccata.kernels.thread_team import ThreadTeam, shared
from toccata.kernels.vectors import (
    FLOATS,
    I16,
    I32,
    LANES,
    SHORTS,
    call,
    first_lanes,
    fma,
    largest,
    load,
    plain,
    pointer,
    splat,
    total,
    vector_ir,
    widened,
)

HEAD = 64
BLOCK = LANES
SCALE = np.float32(1 / math.sqrt(HEAD))
LOWEST, NOTHING = np.float32(-math.inf), np.float32(0)

Floats = NDArray[np.float32]
Places = NDArray[np.int64]


class Cache(NamedTuple):
    """The keys and values of one layer in bfloat16, stored as uint16."""

    keys: NDArray[np.uint16]
    values: NDArray[np.uint16]

    @classmethod
    def empty(cls, rows: int, heads: int, positions: int) -> Cache:
        """Allocate `positions`, rounded up to whole blocks, for each row and head."""
        blocks = -(-positions // BLOCK)
        return cls(
            _lazy_zeros(rows, heads, blocks, HEAD, BLOCK),
            _lazy_zeros(rows, heads, blocks * BLOCK, HEAD),
        )

    @property
    def positions(self) -> int:
        return int(self.values.shape[2])


def _lazy_zeros(*shape: int) -> NDArray[np.uint16]:
    """Return zeros whose memory is allocated page by page, when they are written.

    NumPy's zeros are allocated in pages of 2 MB, for which the first step of a row would wait.
    """
    count = math.prod(shape)
    if count == 0:
        return np.zeros(shape, np.uint16)
    return np.frombuffer(mmap(-1, 2 * count), np.uint16).reshape(shape)


@instruction
def bfloat16(_: Any, number: Any) -> Any:
    """Round a float32 to the nearest bfloat16, as uint16; nan stays nan."""

    def emit(builder: Any, number: Any) -> Any:
        bits = builder.bitcast(number, I32)
        odd = builder.and_(builder.lshr(bits, ir.Constant(I32, 16)), ir.Constant(I32, 1))
        up = builder.add(builder.add(bits, ir.Constant(I32, 0x7FFF)), odd)
        nan = builder.fcmp_unordered("uno", number, number)
        kept = builder.select(nan, ir.Constant(I32, 0x7FC00000), up)
        return builder.trunc(builder.lshr(kept, ir.Constant(I32, 16)), I16)

    return types.uint16(types.float32), plain(emit)


@instruction
def _weigh(_: Any, sums: Any, weights: Any, values: Any, at: Any) -> Any:
    """Add the weighted values of a block, 16 positions with 64 numbers each, to the sums."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums, weights, array, at = args
        parts = [builder.extract_value(sums, n) for n in range(HEAD // LANES)]
        place = pointer(context, builder, signature.args[2], array, at, SHORTS)
        for lane in range(BLOCK):
            chosen = ir.Constant(vector_ir(I32), [lane] * LANES)
            weight = builder.shuffle_vector(weights, weights, chosen)
            for n, old in enumerate(parts):
                where = builder.gep(place, [ir.Constant(I32, lane * len(parts) + n)])
                value = widened(builder, builder.load(where, align=2))
                parts[n] = call(builder, "llvm.fma.v16f32", FLOATS.ir, weight, value, old)
        for n, part in enumerate(parts):
            sums = builder.insert_value(sums, part, n)
        return sums

    return sums(sums, FLOATS, values, types.intp), generate


@compiled
def _scores(query: Floats, at: int, keys: NDArray[np.uint16], block: int) -> Any:
    even, odd = splat(NOTHING), splat(NOTHING)
    for n in range(0, HEAD, 2):
        even = fma(splat(query[at + n]), load(keys, block + n * BLOCK), even)
        odd = fma(splat(query[at + n + 1]), load(keys, block + (n + 1) * BLOCK), odd)
    return (even + odd) * splat(SCALE)


@compiled
def _attend_one(
    query: Floats, at: int, cache: Cache, place: int, length: int, into: Rounded, m: int, head: int
) -> None:
    """Attend with the query at index `at` of a flat array to `length` positions of a row's head."""
    nothing = splat(NOTHING)
    top, norm, sums = LOWEST, nothing, (nothing, nothing, nothing, nothing)
    for first in range(0, length, BLOCK):
        left = np.int32(length - first)
        scores = _scores(query, at, cache.keys, place + first * HEAD)
        scores = first_lanes(scores, left, splat(LOWEST))
        highest = largest(scores)
        if not highest <= top:  # nan too
            shrink = exp(splat(top - highest))
            norm = norm * shrink
            sums = (sums[0] * shrink, sums[1] * shrink, sums[2] * shrink, sums[3] * shrink)
            top = highest
        weights = first_lanes(exp(scores - splat(top)), left, nothing)
        norm = norm + weights
        sums = _weigh(sums, weights, cache.values, place + first * HEAD)
    whole = total(norm)
    part = splat(np.float32(1) / whole if length > 0 else NOTHING)
    round_group(sums[0] * part, sums[1] * part, sums[2] * part, sums[3] * part, into, m, head)


@compiled
def _store(numbers: Floats, key: int, value: int, cache: Cache, place: int, position: int) -> None:
    """Store the key and the value at two indices of a flat array in the cache."""
    keys, values = cache.keys.reshape(-1), cache.values.reshape(-1)
    block, lane = position // BLOCK * BLOCK, position % BLOCK
    at = place + block * HEAD
    if lane == 0:  # the last request may have left nan, and nan times a weight of 0 is nan
        values[at : at + BLOCK * HEAD] = 0
    for n in range(HEAD):
        keys[at + n * BLOCK + lane] = bfloat16(numbers[key + n])
        values[at + lane * HEAD + n] = bfloat16(numbers[value + n])


@compiled
def _self_head(
    qkv: Floats, rows: Places, starts: Places, steps: int, cache: Cache, into: Rounded, task: int
) -> None:
    heads = cache.keys.shape[1]
    index, head = task // heads, task % heads
    width = heads * HEAD
    place = (rows[index] * heads + head) * cache.values.shape[2] * HEAD
    flat, start = qkv.reshape(-1), starts[index]
    for step in range(steps):
        at = (index * steps + step) * 3 * width + head * HEAD
        _store(flat, at + width, at + 2 * width, cache, place, start + step)
    for step in range(steps):
        m = index * steps + step
        at = m * 3 * width + head * HEAD
        _attend_one(flat, at, cache, place, start + step + 1, into, m, head)


@compiled
def attend_self(
    team: ThreadTeam,
    loop: int,
    qkv: Floats,
    rows: Places,
    starts: Places,
    steps: int,
    cache: Cache,
    into: Rounded,
) -> None:
    """Store new keys and values in the cache, and attend to it causally.

    Args:
        team: The threads.
        loop: The number of this loop in the kernel.
        qkv: Queries, keys and values of all heads, [R * steps, 3 D].
        rows: The R rows of the cache.
        starts: The first new position of each row.
        steps: How many new positions each row has.
        cache: The keys and values of the layer.
        into: The output [R * steps, D], rounded to 8 bits.
    """
    for task in shared(team, loop, len(rows) * cache.keys.shape[1]):
        _self_head(qkv, rows, starts, steps, cache, into, task)


@compiled
def _memory_head(
    query: Floats, rows: Places, lengths: Places, steps: int, cache: Cache, into: Rounded,
    task: int,
) -> None:  # fmt: skip
    heads = cache.keys.shape[1]
    m, head = task // heads, task % heads
    row = rows[m // steps]
    place = (row * heads + head) * cache.values.shape[2] * HEAD
    at = (m * heads + head) * HEAD
    _attend_one(query.reshape(-1), at, cache, place, lengths[row], into, m, head)


@compiled
def attend_memory(
    team: ThreadTeam,
    loop: int,
    query: Floats,
    rows: Places,
    lengths: Places,
    steps: int,
    cache: Cache,
    into: Rounded,
) -> None:
    """Cross-attend with query [R * steps, D] to the first lengths[row] positions of each row.

    The output is zero for a row without positions.
    """
    for task in shared(team, loop, len(rows) * steps * cache.keys.shape[1]):
        _memory_head(query, rows, lengths, steps, cache, into, task)


@compiled
def store_head(both: Floats, row: int, length: int, cache: Cache, head: int) -> None:
    """Store one head's keys and values, from both [L', 2 D], to which `row` cross-attends."""
    heads = cache.keys.shape[1]
    width = heads * HEAD
    place = (row * heads + head) * cache.values.shape[2] * HEAD
    for position in range(length):
        at = position * 2 * width + head * HEAD
        _store(both.reshape(-1), at, at + width, cache, place, position)
