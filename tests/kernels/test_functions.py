"""exp, GELU and sums of vectors, against numpy and torch in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from toccata.kernels import elementary, vectors
from toccata.kernels.compiling import compiled

Floats = NDArray[np.float32]


@compiled
def exp_of(x: Floats, out: Floats) -> None:
    for at in range(0, len(x), 16):
        vectors.store(out, at, elementary.exp(vectors.load(x, at)))


@compiled
def gelu_of(x: Floats, out: Floats) -> None:
    for at in range(0, len(x), 16):
        vectors.store(out, at, elementary.gelu(vectors.load(x, at)))


@compiled
def sums_of(x: Floats, out: Floats) -> None:
    v = vectors.load(x, 0)
    out[0], out[1] = vectors.total(v), vectors.largest(v)


def applied(kernel: Callable[[Floats, Floats], None], x: Floats) -> Floats:
    out = np.empty_like(x)
    kernel(x, out)
    return out


def test_exp_is_within_two_units_of_the_last_place() -> None:
    x = np.linspace(-86, 87, 16 * 4000).astype(np.float32)
    assert np.abs(applied(exp_of, x) / np.exp(x.astype(np.float64)) - 1).max() < 2.4e-7


def test_exp_of_what_is_beyond_is_nearly_nothing_or_huge_and_nan_stays() -> None:
    x = np.array([-np.inf, -1000, 1000, np.inf, np.nan] + 11 * [0], np.float32)
    out = applied(exp_of, x)
    assert (out[:2] < 1e-37).all()
    assert (out[2:4] > 1e38).all()
    assert np.isnan(out[4])
    assert (out[5:] == 1).all()


def test_gelu_is_torchs_with_the_error_function() -> None:
    x = np.linspace(-12, 12, 16 * 2000).astype(np.float32)
    expected = torch.nn.functional.gelu(torch.from_numpy(x).double()).numpy()
    assert np.abs(applied(gelu_of, x) - expected).max() < 5e-7


@pytest.mark.parametrize("place", [0, 7, 15])
def test_sums_see_every_lane(place: int) -> None:
    x = np.zeros(16, np.float32)
    x[place] = 3
    assert applied(sums_of, x)[:2].tolist() == [3, 3]
    x[place] = np.nan
    assert np.isnan(applied(sums_of, x)[:2]).all()
