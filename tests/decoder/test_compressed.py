"""Matrices in 8 and 4 bits: near the full ones, and each row by itself."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.fakes import fake_decoder
from toccata.decoder.quantized import COMPRESSED, Compressed, Int8, compress, joined

KINDS = list(COMPRESSED.values())
# The relative error of a product with normal weights and inputs.
NEAR = {"int8": 0.01, "int4": 0.1}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize(
    ("out", "into"), [(32, 64), (96, 32), (1024, 256), (48, 96), (17, 40), (3072, 1024)]
)
def test_a_product_is_near_the_full_one(name: str, out: int, into: int) -> None:
    weight, x = normal(out, into) / into**0.5, normal(2, 5, into, seed=1)
    output, full = COMPRESSED[name].of(weight)(x), x @ weight.T
    assert output.shape == (2, 5, out)
    assert output.dtype is torch.float32
    assert (output - full).norm() / full.norm() < NEAR[name]


def outliers(times: tuple[float, float], count: int = 8) -> torch.Tensor:
    """Factors of 1024 channels: every 128th is so much larger, as in trained weights."""
    factors = torch.ones(1024)
    factors[:: 1024 // count] = torch.linspace(*times, count)
    return factors


@pytest.mark.parametrize("times", [(20.0, 100.0), (0.01, 0.05)])
def test_int8_keeps_every_output_beside_outliers(times: tuple[float, float]) -> None:
    """Each output has its own scale: neither is the small one lost, nor the large one cut."""
    weight, x = normal(1024, 1024) / 32, normal(16, 1024, seed=1)
    weight *= outliers(times)[:, None]
    output, full = Int8.of(weight)(x), x @ weight.T
    off = (output - full).norm(dim=0) / full.norm(dim=0)
    assert off.max() < 0.03
    one_scale = (weight / weight.abs().max() * 127).round() * weight.abs().max() / 127
    lost = (x @ one_scale.T - full).norm(dim=0) / full.norm(dim=0)
    assert lost.max() > 0.1


@pytest.mark.parametrize("where", ["weight", "input"])
def test_int8_stays_near_with_outliers_among_the_inputs(where: str) -> None:
    """They share the scale of their output, or that of their 64 inputs: near, not as near."""
    weight, x = normal(1024, 1024) / 32, normal(16, 1024, seed=1)
    if where == "weight":
        weight *= outliers((20.0, 100.0))
    else:
        x *= outliers((20.0, 100.0))
    output, full = Int8.of(weight)(x), x @ weight.T
    assert (output - full).norm() / full.norm() < 0.07


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [64, 320, 1024])
def test_a_row_does_not_depend_on_the_rows_beside_it(kind: Compressed, dim: int) -> None:
    rows = normal(17, dim)
    for width in (dim, 4 * dim):
        matrix = kind.of(normal(width, dim, seed=1))
        whole = matrix(rows)
        for size in range(1, 17):
            for start in range(17 - size + 1):
                assert torch.equal(matrix(rows[start : start + size]), whole[start : start + size])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite_stays_so_in_its_row(kind: Compressed) -> None:
    rows = normal(3, 32)
    rows[1, 5] = torch.nan
    output = kind.of(normal(64, 32))(rows)
    assert output[1].isnan().all()
    assert output[[0, 2]].isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_of_zeros_gives_zeros(kind: Compressed) -> None:
    assert not kind.of(torch.zeros(32, 32))(normal(2, 32)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_layers_and_heads_are_compressed_and_nothing_else(kind: Compressed) -> None:
    decoder = fake_decoder()
    compress(kind, decoder)
    left = [name for name, module in decoder.named_modules() if isinstance(module, nn.Linear)]
    assert left
    assert all(name.startswith("projections.") for name in left)
    assert all(isinstance(head, Int8) for head in decoder.heads)
    assert isinstance(decoder.layers[0].ffn_in, kind)


def test_joined_heads_say_what_each_says() -> None:
    parts = [Int8.of(normal(32, 64, seed=n)) for n in range(3)]
    x = normal(2, 64, seed=9)
    assert torch.equal(joined(parts)(x), torch.cat([part(x) for part in parts], -1))
