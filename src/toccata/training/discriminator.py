"""Multi-scale STFT discriminator (EnCodec, section 3.4), kept small enough for CPU training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALES = ((2048, 512), (1024, 256), (512, 128))  # n_fft, hop
SLOPE = 0.2

Verdict = tuple[Tensor, list[Tensor]]


class StftDiscriminator(nn.Module):
    """Judges complex spectra at one scale; audio [B, N] to a map of scores and its features."""

    def __init__(self, n_fft: int, hop: int, filters: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        shapes = [(2, filters), (filters, filters), (filters, filters), (filters, filters)]
        self.convs = nn.ModuleList(
            nn.utils.parametrizations.weight_norm(
                nn.Conv2d(a, b, (9, 3), stride=(1 if i == 0 else 4, 1), padding=(4, 1))
            )
            for i, (a, b) in enumerate(shapes)
        )
        self.score = nn.utils.parametrizations.weight_norm(nn.Conv2d(filters, 1, 3, padding=1))

    def forward(self, audio: Tensor) -> Verdict:
        window = torch.hann_window(self.n_fft, device=audio.device)
        spectrum = torch.stft(
            audio, self.n_fft, self.hop, window=window, normalized=True, return_complex=True
        )
        x = torch.stack([spectrum.real, spectrum.imag], 1)
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            features.append(x)
        return self.score(x), features


class Discriminator(nn.Module):
    def __init__(self, filters: int = 16) -> None:
        super().__init__()
        self.scales = nn.ModuleList(StftDiscriminator(*scale, filters) for scale in SCALES)

    def forward(self, audio: Tensor) -> list[Verdict]:
        return [scale(audio) for scale in self.scales]


def discriminator_loss(real: list[Verdict], made: list[Verdict]) -> Tensor:
    """Hinge loss: real scores above 1, made scores below -1."""
    losses = [
        F.relu(1 - r).mean() + F.relu(1 + m).mean()
        for (r, _), (m, _) in zip(real, made, strict=True)
    ]
    return torch.stack(losses).mean()


def generator_loss(real: list[Verdict], made: list[Verdict]) -> tuple[Tensor, Tensor]:
    """(adversarial hinge loss, feature matching relative to the real features' size)."""
    adversarial = torch.stack([F.relu(1 - score).mean() for score, _ in made]).mean()
    matching = [
        F.l1_loss(m, r.detach()) / r.detach().abs().mean().clamp(min=1e-4)
        for (_, reals), (_, mades) in zip(real, made, strict=True)
        for r, m in zip(reals, mades, strict=True)
    ]
    return adversarial, torch.stack(matching).mean()
