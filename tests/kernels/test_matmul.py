"""Products of rounded rows with packed matrices, against the same numbers in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from toccata.kernels import dot_products, packing, thread_team
from toccata.kernels.compiling import compiled
from toccata.kernels.layers import PRODUCT_LOOPS, product
from toccata.kernels.matmul import INT4_GROUP, Int4Matrix, Int8Matrix, Matrix
from toccata.kernels.rounding import GROUP, Rounded, padded_rows
from toccata.kernels.vectors import load_bytes

Floats = NDArray[np.float32]
Pack = Callable[[Floats], Matrix]
PACKS: tuple[Pack, ...] = (packing.int8, packing.int4)


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def unpacked(matrix: Matrix, inputs: int) -> NDArray[np.float64]:
    """The weights [N, D] that a packed matrix stands for."""
    if isinstance(matrix, Int8Matrix):
        words = matrix.weight.reshape(-1, inputs // 4, 16, 4).transpose(0, 2, 1, 3)
        numbers = words.reshape(-1, inputs).astype(np.float64) - 128
        return numbers * matrix.scales[:, None]
    assert isinstance(matrix, Int4Matrix)
    halves = matrix.weight.reshape(-1, inputs // 8, 1, 16, 4)
    both = np.concatenate([halves & 15, halves >> 4], 2).transpose(0, 3, 1, 2, 4)
    scales = (matrix.scales.astype(np.uint32) << 16).view(np.float32)
    scale, low = scales.reshape(-1, inputs // INT4_GROUP, 2, 16).transpose(2, 0, 3, 1)
    numbers = both.reshape(*scale.shape, INT4_GROUP).astype(np.float64)
    return (numbers * scale[..., None] + low[..., None]).reshape(-1, inputs)


def unrounded(rows: Rounded) -> NDArray[np.float64]:
    groups = rows.numbers.reshape(*rows.scales.shape, GROUP).astype(np.float64)
    return (groups * rows.scales[..., None]).reshape(rows.numbers.shape)


def multiplied(x: Floats, matrix: Matrix, outputs: int) -> tuple[Floats, Rounded]:
    rounded = Rounded.empty(*x.shape)
    out = np.zeros((padded_rows(len(x)), outputs), np.float32)
    thread_team.run(product, PRODUCT_LOOPS, 2, x, matrix, len(x), rounded, out)
    return out[: len(x)], rounded


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 13, 21])
def test_a_product_is_that_of_the_rounded_numbers(pack: Pack, rows: int) -> None:
    matrix = pack(normal(48, 192))
    output, rounded = multiplied(normal(rows, 192, seed=1), matrix, 48)
    expected = unrounded(rounded)[:rows] @ unpacked(matrix, 192).T
    np.testing.assert_allclose(output, expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(("pack", "steps"), [(packing.int8, 127), (packing.int4, 15)])
def test_a_weight_is_off_by_half_a_step_at_most(pack: Pack, steps: int) -> None:
    weight = normal(32, 128)
    groups = weight.reshape(32, -1, INT4_GROUP)
    spread = np.ptp(groups, -1) if steps == 15 else np.abs(weight).max(1)[:, None]
    off = np.abs(unpacked(pack(weight), 128) - weight).reshape(groups.shape)
    # Scales in bfloat16 are off by 0.4 %, over up to 15 steps.
    assert (off.max(-1) <= spread / steps * 0.6).all()


def test_a_row_is_off_by_half_a_step_of_its_group_at_most() -> None:
    x = normal(5, 256) * np.array([1, 100, 1e-6, 1e6, 0], np.float32)[:, None]
    _, rounded = multiplied(x, packing.int8(normal(16, 256)), 16)
    largest = np.abs(x).reshape(5, -1, GROUP).max(-1)
    off = np.abs(unrounded(rounded)[:5] - x).reshape(5, -1, GROUP).max(-1)
    assert (off <= largest / 127 * 0.501).all()


def test_what_stands_beside_a_group_holds_its_sums() -> None:
    _, rounded = multiplied(normal(3, 128), packing.int8(normal(16, 128)), 16)
    numbers = rounded.numbers.astype(np.int64)
    assert (rounded.offsets == -128 * numbers.reshape(-1, 2, 64).sum(-1)).all()
    assert (rounded.totals == numbers.reshape(-1, 4, 32).sum(-1)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_row_and_no_other(bad: float) -> None:
    x = normal(3, 64)
    x[1, 5] = bad
    output, _ = multiplied(x, packing.int8(normal(16, 64)), 16)
    assert not np.isfinite(output[1]).any()
    assert np.isfinite(output[[0, 2]]).all()


@pytest.mark.parametrize("instruction", [True, False])
def test_processors_without_the_instruction_get_the_same_integers(
    instruction: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if instruction and not dot_products.has_dot_instruction():
        pytest.skip("this processor has no avx512vnni: only the other way runs here")
    monkeypatch.setattr(dot_products, "has_dot_instruction", lambda: instruction)

    @compiled
    def one_word(weights: NDArray[np.uint8], inputs: NDArray[np.int8], out: Floats) -> None:
        accs = dot_products.dots(dot_products.zero_ints(1), load_bytes(weights, 0), inputs, 0, 4)
        dot_products.put(
            out, 0, 16, dot_products.add_scaled(dot_products.zeros(1), accs, ONES, 0, 1), False
        )

    for weight, given in ((255, [-128, 127, -128, 127]), (3, [1, 2, 3, -4]), (255, [-128] * 4)):
        weights = np.full((16, 4), weight, np.uint8)
        weights[3] = [0, 1, 2, 200]
        inputs, out = np.array(given, np.int8), np.zeros(16, np.float32)
        one_word(weights.reshape(-1), inputs, out)
        assert out.tolist() == (weights.astype(np.int64) @ inputs.astype(np.int64)).tolist()


ONES = np.ones(1, np.float32)
