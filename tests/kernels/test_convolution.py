"""Products of overlapping rows are convolutions, and an LSTM by chunks is an LSTM."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from toccata.codecs.compiled_lstm import Recurrence
from toccata.codecs.conv_matmul import Product, to_half
from toccata.kernels.activations import processor_has
from toccata.kernels.convolution import Numbers

pytestmark = pytest.mark.skipif(
    not processor_has("avx512f"), reason="this processor has no vectors of 512 bits"
)
needs_bfloat16 = pytest.mark.skipif(
    not processor_has("avx512bf16"), reason="this processor has no products of bfloat16"
)
ROOM = 9000


def rows_of(x: torch.Tensor, half: bool = False) -> Numbers:
    """x [1, C, T] as rows, with room behind."""
    flat = torch.cat([x[0].T.flatten(), torch.zeros(ROOM)])
    return to_half(flat) if half else flat.numpy()


@pytest.mark.parametrize("half", [False, pytest.param(True, marks=needs_bfloat16)])
@pytest.mark.parametrize(
    ("fan_out", "fan_in", "kernel", "stride"), [(64, 32, 3, 1), (8, 16, 3, 1), (32, 16, 8, 4)]
)
def test_a_product_is_a_convolution(
    fan_out: int, fan_in: int, kernel: int, stride: int, half: bool
) -> None:
    torch.manual_seed(0)
    conv, x = nn.Conv1d(fan_in, fan_out, kernel, stride), torch.randn(1, fan_in, 101)
    expected = conv(x)[0].T.detach()
    raw, elu = np.zeros((2, expected.numel() + ROOM), np.float32)
    flat = rows_of(x, half)
    elu_output = np.zeros_like(elu, flat.dtype)
    Product.of_conv(conv, half=half).run(flat, 0, len(expected), raw=raw, elu=elu_output)
    found = torch.from_numpy(raw[: expected.numel()]).view_as(expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-2 if half else 1e-6)
    if not half:
        found = torch.from_numpy(elu_output[: expected.numel()]).view_as(expected)
        torch.testing.assert_close(found, F.elu(expected), rtol=0, atol=1e-6)


def test_a_product_is_a_transposed_convolution() -> None:
    torch.manual_seed(0)
    conv, x = nn.ConvTranspose1d(16, 8, 10, stride=5), torch.randn(1, 16, 30)
    expected = conv(x)[0].T.detach()
    raw = np.zeros(expected.numel() + ROOM, np.float32)
    padded = F.pad(x, (1, 1))
    Product.of_transposed(conv, half=False).run(rows_of(padded), 0, 31, raw=raw)
    found = torch.from_numpy(raw[: expected.numel()]).view_as(expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@needs_bfloat16
def test_a_recurrence_is_an_lstm_cut_anywhere() -> None:
    torch.manual_seed(0)
    lstm, x = nn.LSTM(64, 64, 2), torch.randn(45, 64)
    for weight in lstm.parameters():
        weight.data = weight.to(torch.bfloat16).float()
    recurrence = Recurrence(lstm)
    whole, _ = recurrence.run(x, None)
    torch.testing.assert_close(whole, lstm(x)[0].detach(), rtol=0, atol=5e-3)
    first, state = recurrence.run(x[:17], None)
    second, _ = recurrence.run(x[17:], state)
    assert torch.equal(torch.cat([first, second]), whole)
