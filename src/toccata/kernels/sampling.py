"""Guidance and sampling of all requests and codebooks of a step, as in `engine.sampling`."""

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
    """The CFG branches of N requests: rows of the logits, and the scales that mix them.

    Without guidance all three rows are the same; without a style branch, style is cond.
    """

    cond: Numbers
    style: Numbers
    uncond: Numbers
    cfg: Floats
    beta: Floats


class Limits(NamedTuple):
    """The sampling parameters of N requests.

    Attributes:
        temperature: [N]; 0 takes the most likely code.
        top_k: [N]; card where it does not limit.
        top_p: [N]; 1 where it does not limit.
    """

    temperature: Doubles
    top_k: Numbers
    top_p: Doubles


@compiled
def _guided(logits: Floats, branches: Branches, request: int, book: int, into: Floats) -> bool:
    """Write uncond + cfg * (cond - uncond) to `into`, where cond = style + beta * (cond - style).

    Returns whether all of them are finite.
    """
    cond, uncond = logits[branches.cond[request], book], logits[branches.uncond[request], book]
    style = logits[branches.style[request], book]
    cfg, beta = branches.cfg[request], branches.beta[request]
    single = branches.cond[request] == branches.uncond[request]
    styled = branches.cond[request] != branches.style[request]
    finite = True
    for code in range(len(into)):
        value = cond[code]
        if styled:
            value = style[code] + beta * (value - style[code])
        if not single:
            value = uncond[code] + cfg * (value - uncond[code])
        into[code] = value
        finite = finite and math.isfinite(value)
    return finite


@compiled
def _weigh(logits: Floats, temperature: float, lowest: float, weights: Doubles) -> None:
    """Write unnormalised probabilities of codes whose logit is at least `lowest`, 0 for others."""
    top = np.float64(logits.max()) / temperature
    for code in range(len(logits)):
        kept = logits[code] >= lowest
        weights[code] = math.exp(logits[code] / temperature - top) if kept else 0.0


@compiled
def _keep_nucleus(weights: Doubles, top_p: float, heap: Heap) -> None:
    """Drop codes if more likely ones already have more than top_p of the total weight."""
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
    """Build a heap of the indices of `values`: the largest first, of equals the first index."""
    for place in range(len(values)):
        heap[place] = place
    for place in range(len(values) // 2 - 1, -1, -1):
        _sink(values, heap, len(values), place)


@compiled
def _without_first(values: Values, heap: Heap, size: int) -> int:
    """Remove the first element of a heap, and return the new size."""
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
    """Return the first code at which the cumulative weight exceeds `uniform` of the total."""
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
    buffer = task % len(guided)
    values, probabilities, heap = guided[buffer], weights[buffer], heaps[buffer]
    finite[request, book] = _guided(logits, branches, request, book, values)
    temperature, top_k = limits.temperature[request], limits.top_k[request]
    if temperature == 0:
        codes[request, book] = np.argmax(values)
        return
    lowest = -np.inf if top_k >= card else _kth_largest(values, top_k, heap)
    _weigh(values, temperature, lowest, probabilities)
    if limits.top_p[request] < 1:
        _keep_nucleus(probabilities, limits.top_p[request], heap)
    codes[request, book] = _draw(probabilities, uniform[request, book])


CHOOSE_LOOPS = 1


@entry
def choose(
    team: ThreadTeam, logits: Floats, branches: Branches, limits: Limits, uniform: Doubles,
    codes: Numbers, finite: NDArray[np.bool_], guided: Floats, weights: Doubles, heaps: Heap,
) -> None:  # fmt: skip
    """Sample one code per request and codebook.

    Args:
        team: The threads.
        logits: [rows, K, card].
        branches: The CFG branches of the N requests.
        limits: Their sampling parameters.
        uniform: Random numbers in [0, 1), [N, K].
        codes: The output, [N, K]; arbitrary where the logits are not finite.
        finite: Whether the logits of a code were finite, [N, K].
        guided: Workspace [R, card]; R is 1 for a single thread, so that it stays in the caches,
            and N * K for several.
        weights: Workspace [R, card].
        heaps: Workspace [R, card].
    """
    for task in shared(team, 0, codes.size):
        _choose_one(logits, branches, limits, uniform, task, codes, finite, guided, weights, heaps)
