"""Guidance and sampling of all requests and codebooks of a step, as `engine.sampling` does them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toccata.kernels.compiling import compiled, entry
from toccata.kernels.thread_team import ThreadTeam, shared

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
Values = Floats | Doubles
Heap = NDArray[np.int32]


class Branches(NamedTuple):
    """Which rows of the logits are a request's [N], and how they are put together [N].

    Without guidance all three are the same row; without a style half, style is cond.
    """

    cond: Numbers
    style: Numbers
    null: Numbers
    cfg: Floats
    beta: Floats


class Limits(NamedTuple):
    """Sampling parameters [N]: temperature 0 for the likeliest code; top_k the card where it does
    not limit; top_p 1 where it does not.
    """

    temperature: Doubles
    top_k: Numbers
    top_p: Doubles


@compiled
def _guided(logits: Floats, branches: Branches, request: int, book: int, into: Floats) -> bool:
    """null + cfg * (cond - null), cond = style + beta * (cond - style); whether all are finite."""
    cond, null = logits[branches.cond[request], book], logits[branches.null[request], book]
    style = logits[branches.style[request], book]
    cfg, beta = branches.cfg[request], branches.beta[request]
    alone = branches.cond[request] == branches.null[request]
    styled = branches.cond[request] != branches.style[request]
    finite = True
    for code in range(len(into)):
        value = cond[code]
        if styled:
            value = style[code] + beta * (value - style[code])
        if not alone:
            value = null[code] + cfg * (value - null[code])
        into[code] = value
        finite = finite and math.isfinite(value)
    return finite


@compiled
def _weigh(logits: Floats, temperature: float, lowest: float, weights: Doubles) -> None:
    """Unnormalised probabilities of the codes whose logit is `lowest` at least, 0 of others."""
    top = np.float64(logits.max()) / temperature
    for code in range(len(logits)):
        kept = logits[code] >= lowest
        weights[code] = math.exp(logits[code] / temperature - top) if kept else 0.0


@compiled
def _keep_nucleus(weights: Doubles, top_p: float, heap: Heap) -> None:
    """Drop what comes after more than top_p of the whole, from the likeliest on."""
    limit, before, left = top_p * weights.sum(), 0.0, len(weights)
    _heap_up(weights, heap)
    while left > 0 and before <= limit:
        before += weights[heap[0]]
        left = _without_first(weights, heap, left)
    for place in range(left):
        weights[heap[place]] = 0.0


@compiled
def _kth_largest(values: Floats, k: int, heap: Heap) -> float:
    _heap_up(values, heap)
    left = len(values)
    for _ in range(k - 1):
        left = _without_first(values, heap, left)
    largest: float = values[heap[0]]
    return largest


@compiled
def _heap_up(values: Values, heap: Heap) -> None:
    """All places of `values` as a heap, with the largest first and of equals the first."""
    for place in range(len(values)):
        heap[place] = place
    for place in range(len(values) // 2 - 1, -1, -1):
        _sink(values, heap, len(values), place)


@compiled
def _without_first(values: Values, heap: Heap, size: int) -> int:
    """Take the first one out of a heap; its new size."""
    heap[0] = heap[size - 1]
    _sink(values, heap, size - 1, 0)
    return size - 1


@compiled
def _sink(values: Values, heap: Heap, size: int, place: int) -> None:
    moved = heap[place]
    while 2 * place + 1 < size:
        below = 2 * place + 1
        if below + 1 < size and _comes_first(values, heap[below + 1], heap[below]):
            below += 1
        if not _comes_first(values, heap[below], moved):
            break
        heap[place] = heap[below]
        place = below
    heap[place] = moved


@compiled
def _comes_first(values: Values, a: int, b: int) -> bool:
    return values[a] > values[b] or (values[a] == values[b] and a < b)


@compiled
def _draw(weights: Doubles, uniform: float) -> int:
    """The first code at which the sum of the weights so far exceeds `uniform` of the whole."""
    whole = 0.0
    for code in range(len(weights)):
        whole += weights[code]
    target, so_far = uniform * whole, 0.0
    for code in range(len(weights)):
        so_far += weights[code]
        if so_far > target:
            return code
    return len(weights)


@compiled
def _choose_one(
    logits: Floats, branches: Branches, limits: Limits, uniform: Doubles, task: int,
    codes: Numbers, finite: NDArray[np.bool_], guided: Floats, weights: Doubles, heaps: Heap,
) -> None:  # fmt: skip
    books, card = logits.shape[1:]
    request, book = task // books, task % books
    room = task % len(guided)
    mine, chances, heap = guided[room], weights[room], heaps[room]
    finite[request, book] = _guided(logits, branches, request, book, mine)
    temperature, top_k = limits.temperature[request], limits.top_k[request]
    if temperature == 0:
        codes[request, book] = np.argmax(mine)
        return
    lowest = -np.inf if top_k >= card else _kth_largest(mine, top_k, heap)
    _weigh(mine, temperature, lowest, chances)
    if limits.top_p[request] < 1:
        _keep_nucleus(chances, limits.top_p[request], heap)
    codes[request, book] = _draw(chances, uniform[request, book])


CHOOSE_LOOPS = 1


@entry
def choose(
    team: ThreadTeam, logits: Floats, branches: Branches, limits: Limits, uniform: Doubles,
    codes: Numbers, finite: NDArray[np.bool_], guided: Floats, weights: Doubles, heaps: Heap,
) -> None:  # fmt: skip
    """logits [rows, K, card] and uniform [N, K] in [0, 1) -> codes [N, K], finite [N, K].

    guided, weights and heaps [R, card] are room: R is 1 for a single thread, which then finds it
    in its caches, else N * K. A code whose logits are not finite means nothing.
    """
    for task in shared(team, 0, codes.size):
        _choose_one(logits, branches, limits, uniform, task, codes, finite, guided, weights, heaps)
