"""Guidance and sampling of all requests and codebooks of a step, as `engine.sampling` does them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toccata.kernels.compiling import compiled, entry
from toccata.kernels.team import Team, shared

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


FEW = 256


class Halves(NamedTuple):
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
def _guided(logits: Floats, halves: Halves, request: int, book: int, into: Floats) -> bool:
    """null + cfg * (cond - null), cond = style + beta * (cond - style); whether all are finite."""
    cond, null = logits[halves.cond[request], book], logits[halves.null[request], book]
    style = logits[halves.style[request], book]
    cfg, beta = halves.cfg[request], halves.beta[request]
    alone = halves.cond[request] == halves.null[request]
    styled = halves.cond[request] != halves.style[request]
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
def _keep_nucleus(weights: Doubles, top_p: float) -> None:
    """Drop what comes after more than top_p of the whole, from the likeliest on."""
    limit = top_p * weights.sum()
    likely = _likeliest(weights, limit)
    before = 0.0
    for index in np.argsort(-weights[likely], kind="mergesort"):
        weight = weights[likely[index]]
        if before > limit:
            weights[likely[index]] = 0.0
        before += weight


@compiled
def _likeliest(weights: Doubles, limit: float) -> Numbers:
    """Codes that hold more than `limit` together, of which few must be sorted; the others lose
    their weight. All of them where it takes more.
    """
    if len(weights) > FEW:
        lowest = np.partition(weights, len(weights) - FEW)[len(weights) - FEW]
        likely = np.nonzero(weights >= lowest)[0]
        if weights[likely].sum() > limit:
            weights[weights < lowest] = 0.0
            return likely
    return np.arange(len(weights))


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
    logits: Floats, halves: Halves, limits: Limits, uniform: Doubles, task: int,
    codes: Numbers, finite: NDArray[np.bool_], guided: Floats, weights: Doubles,
) -> None:  # fmt: skip
    books, card = logits.shape[1:]
    request, book = task // books, task % books
    mine, chances = guided[task], weights[task]
    finite[request, book] = _guided(logits, halves, request, book, mine)
    temperature, top_k = limits.temperature[request], limits.top_k[request]
    if temperature == 0:
        codes[request, book] = np.argmax(mine)
        return
    lowest = -np.inf if top_k >= card else np.partition(mine, card - top_k)[card - top_k]
    _weigh(mine, temperature, lowest, chances)
    if limits.top_p[request] < 1:
        _keep_nucleus(chances, limits.top_p[request])
    codes[request, book] = _draw(chances, uniform[request, book])


CHOOSE_LOOPS = 1


@entry
def choose(
    team: Team, logits: Floats, halves: Halves, limits: Limits, uniform: Doubles,
    codes: Numbers, finite: NDArray[np.bool_], guided: Floats, weights: Doubles,
) -> None:  # fmt: skip
    """logits [rows, K, card] and uniform [N, K] in [0, 1) -> codes [N, K], finite [N, K].

    guided [N * K, card] and weights [N * K, card] are room. A code whose logits are not finite
    means nothing.
    """
    for task in shared(team, 0, codes.size):
        _choose_one(logits, halves, limits, uniform, task, codes, finite, guided, weights)
