from __future__ import annotations

import math

import pytest
import torch

from recipes.mini.codec.losses import log_mel, si_sdr_db, spectral_losses
from toccata.analysis.spectrum import magnitudes, mel_bank


def tone(hz: float, level: float = 1.0) -> torch.Tensor:
    return level * torch.sin(2 * math.pi * hz * torch.arange(32000) / 32000)[None]


def test_a_full_scale_tone_measures_one() -> None:
    peak = magnitudes(tone(1000), 1024, 256)[0].max()
    assert 0.4 < peak < 0.55  # a Hann window halves it


def test_a_tone_is_loudest_in_the_band_around_it() -> None:
    mel = log_mel(tone(1000), 1024, 256, 80)[0, :, 60]
    centre_hz = mel_bank(1024, 80)[:, mel.argmax()].argmax() * 32000 / 1024
    assert centre_hz == pytest.approx(1000, abs=40)


@pytest.mark.parametrize("which", [0, 1])
def test_equal_audio_has_no_spectral_losses_and_more_noise_has_more(which: int) -> None:
    real, noise = tone(440), torch.randn(1, 32000)
    levels = (0.0, 0.01, 0.1)
    losses = [float(spectral_losses(real + level * noise, real)[which]) for level in levels]
    assert losses[0] == 0.0
    assert losses[0] < losses[1] < losses[2]


def test_other_noise_of_the_same_level_has_the_same_energy_and_quieter_noise_has_less() -> None:
    torch.manual_seed(0)
    real, other = 0.1 * torch.randn(2, 1, 32000)
    by_bin, by_patch = spectral_losses(other, real)
    assert float(by_patch) < 0.35 * float(by_bin)
    assert float(spectral_losses(0.5 * other, real)[1]) > float(by_bin)


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_si_sdr_is_the_ratio_in_db_whatever_the_scale(scale: float) -> None:
    torch.manual_seed(0)
    real, noise = torch.randn(1, 100_000), torch.randn(1, 100_000)
    assert float(si_sdr_db(scale * (real + 0.1 * noise), real)) == pytest.approx(20, abs=0.2)
