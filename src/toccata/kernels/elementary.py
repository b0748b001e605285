"""The functions exp and GELU of vectors, to a few units in the last place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from toccata.kernels.compiling import compiled
from toccata.kernels.vectors import (
    at_least,
    at_most,
    fma,
    magnitude,
    nearest,
    power_of_two,
    splat,
    to_floats,
)

LOG2_E = np.float32(math.log2(math.e))
# ln 2 in two parts, so that n * ln 2 is exact for the n of a float32.
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(math.log(2) - 0.693359375)
LOWEST, HIGHEST = np.float32(-87.0), np.float32(88.0)
ONE, HALF, ROOT_HALF = np.float32(1), np.float32(0.5), np.float32(math.sqrt(0.5))
SERIES = tuple(np.float32(1 / math.factorial(n)) for n in range(7, -1, -1))
# erf(z) = 1 - (a1 t + ... + a5 t^5) exp(-z^2), t = 1 / (1 + p z): Abramowitz & Stegun 7.1.26,
# with an error of at most 1.5e-7.
ERF_P = np.float32(0.3275911)
ERF_A = tuple(
    np.float32(a) for a in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
)


@compiled
def exp(x: Any) -> Any:
    """Compute e^x, with x clamped to -87 .. 88; nan stays.

    x is reduced to |r| <= ln 2 / 2, for which the Taylor series is used.
    """
    x = at_least(at_most(x, splat(HIGHEST)), splat(LOWEST))
    whole = nearest(x * splat(LOG2_E))
    n = to_floats(whole)
    r = fma(n, splat(-LN2_HIGH), x)
    r = fma(n, splat(-LN2_LOW), r)
    p = splat(SERIES[0])
    for k in range(1, 8):
        p = fma(p, r, splat(SERIES[k]))
    return p * power_of_two(whole)


@compiled
def gelu(x: Any) -> Any:
    """Compute x Phi(x) with the error function, not with the approximation by tanh."""
    z = magnitude(x) * splat(ROOT_HALF)
    t = splat(ONE) / fma(splat(ERF_P), z, splat(ONE))
    p = splat(ERF_A[0])
    for k in range(1, 5):
        p = fma(p, t, splat(ERF_A[k]))
    erf = splat(ONE) - p * t * exp(splat(-ONE) * z * z)
    return splat(HALF) * fma(magnitude(x), erf, x)
