"""audiocraft's resampling filter against its formula, written out sample by sample."""

from __future__ import annotations

import math

import pytest
import torch

from toccata.conditioners.sinc import can_resample, sinc_resample

RATES = [(32000, 24000), (44100, 32000), (48000, 32000), (22050, 24000), (16000, 24000)]


def slow(samples: list[float], from_hz: int, to_hz: int) -> list[float]:
    """Each output is a mean of the inputs around it, weighted by a windowed sinc.

    24 zero crossings to either side, of a sinc that ends at 0.945 of the lower Nyquist frequency;
    what lies before the first sample and after the last one is as they are.
    """
    cutoff_hz = 0.945 * min(from_hz, to_hz)
    reach_s = 24 / cutoff_hz
    made = []
    for output in range(len(samples) * to_hz // from_hz):
        at_s = output / to_hz
        first, last = math.ceil((at_s - reach_s) * from_hz), math.floor((at_s + reach_s) * from_hz)
        total = weights = 0.0
        for index in range(first, last + 1):
            t = (index / from_hz - at_s) * cutoff_hz
            sinc = math.sin(math.pi * t) / (math.pi * t) if abs(t) > 1e-12 else 1.0
            weight = sinc * math.cos(t / 24 * math.pi / 2) ** 2
            total += weight * samples[min(max(index, 0), len(samples) - 1)]
            weights += weight
        made.append(total / weights)
    return made


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
@pytest.mark.parametrize("length", [1, 40, 700])
def test_every_sample_is_that_of_the_formula(from_hz: int, to_hz: int, length: int) -> None:
    noise = torch.randn(length, generator=torch.Generator().manual_seed(length))
    output = sinc_resample(noise, from_hz, to_hz)
    expected = torch.tensor(slow(noise.tolist(), from_hz, to_hz))
    assert output.shape == expected.shape
    torch.testing.assert_close(output, expected, rtol=0, atol=2e-4)


def test_rows_are_resampled_alone_and_the_same_rate_changes_nothing() -> None:
    noise = torch.randn(2, 3, 500, generator=torch.Generator().manual_seed(0))
    output = sinc_resample(noise, 32000, 24000)
    assert output.shape == (2, 3, 375)
    torch.testing.assert_close(output[1, 2], sinc_resample(noise[1, 2], 32000, 24000))
    assert sinc_resample(noise, 32000, 32000) is noise


def test_rates_whose_filters_would_fill_the_memory_are_known() -> None:
    assert all(can_resample(*pair) for pair in RATES)
    assert not can_resample(47999, 32000)
