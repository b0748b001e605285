"""Attention of one query at a time to a cache in bfloat16, heads of 64, in one pass.

Keys lie in blocks of 16 positions, [rows, heads, P / 16, 64, 16], so that a block's scores are the
lanes of one vector; values lie as [rows, heads, P, 64]. The maximum is kept as blocks come in and
the sums are rescaled when it rises (Milakov & Gimelshein 2018, algorithm 3). A query's blocks are
taken in order, by one thread: its result depends on its own row alone.
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
    """One layer's keys and values, bfloat16 in uint16."""

    keys: NDArray[np.uint16]
    values: NDArray[np.uint16]

    @classmethod
    def empty(cls, rows: int, heads: int, positions: int) -> Cache:
        """Capacity for `positions`, rounded up to whole blocks."""
        blocks = -(-positions // BLOCK)
        return cls(
            _lazy_zeros(rows, heads, blocks, HEAD, BLOCK),
            _lazy_zeros(rows, heads, blocks * BLOCK, HEAD),
        )

    @property
    def positions(self) -> int:
        return int(self.values.shape[2])


def _lazy_zeros(*shape: int) -> NDArray[np.uint16]:
    """Zeros that take memory page by page, as they are written to.

    numpy's own are given in pages of 2 MB: the first step of a row would wait for all of them.
    """
    count = math.prod(shape)
    if count == 0:
        return np.zeros(shape, np.uint16)
    return np.frombuffer(mmap(-1, 2 * count), np.uint16).reshape(shape)


@instruction
def bfloat16(_: Any, number: Any) -> Any:
    """The nearest bfloat16 of a float32, as uint16; nan stays nan."""

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
    """sums + weights . values of a block: 16 positions from place `at` on, 64 numbers each."""

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
    """The query at place `at` of a flat array, to the `length` positions of a row's head."""
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
def _remember(
    numbers: Floats, key: int, value: int, cache: Cache, place: int, position: int
) -> None:
    """Store the key and the value that lie at two places of a flat array."""
    keys, values = cache.keys.reshape(-1), cache.values.reshape(-1)
    block, lane = position // BLOCK * BLOCK, position % BLOCK
    at = place + block * HEAD
    if lane == 0:  # what its last owner left may be nan, and even nan times no weight is nan
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
        _remember(flat, at + width, at + 2 * width, cache, place, start + step)
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
    """Query, key and value of every head [R * steps, 3 D], causal; keys and values are stored.

    Row rows[i] of the cache gets `steps` positions from starts[i] on. What each query finds is
    rounded to a row of `into`.
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
    """query [R * steps, D] to the first lengths[row] positions of each row; zeros where 0."""
    for task in shared(team, loop, len(rows) * steps * cache.keys.shape[1]):
        _memory_head(query, rows, lengths, steps, cache, into, task)


@compiled
def remember_head(both: Floats, row: int, length: int, cache: Cache, head: int) -> None:
    """One head's keys and values of both [L', 2 D], what `row` cross-attends to."""
    heads = cache.keys.shape[1]
    width = heads * HEAD
    place = (row * heads + head) * cache.values.shape[2] * HEAD
    for position in range(length):
        at = position * 2 * width + head * HEAD
        _remember(both.reshape(-1), at, at + width, cache, place, position)
