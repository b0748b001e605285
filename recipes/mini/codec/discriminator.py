"""Multi-scale STFT discriminator (EnCodec, section 3.4), kept small enough for CPU training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALES = ((2048, 512), (1024, 256), (512, 128))  # n_fft, hop
# Most time goes where the map is largest: the first layer halves it.
STRIDES = (2, 4, 4, 2)  # in frequency
SLOPE = 0.2

Scored = tuple[Tensor, list[Tensor]]
"""A map of scores, and the features of the layers before it."""


class StftDiscriminator(nn.Module):
    """A network from audio [B, N], by its complex spectrum at one scale, to scores and features."""

    def __init__(self, n_fft: int, hop: int, filters: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        channels = (2, *[filters] * (len(STRIDES) - 1))
        self.convs = nn.ModuleList(
            nn.utils.parametrizations.weight_norm(
                nn.Conv2d(inputs, filters, (9, 3), stride=(stride, 1), padding=(4, 1))
            )
            for inputs, stride in zip(channels, STRIDES, strict=True)
        )
        self.score = nn.utils.parametrizations.weight_norm(nn.Conv2d(filters, 1, 3, padding=1))

    def forward(self, audio: Tensor) -> Scored:
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
    """A network from audio [B, N] to scores and features at each scale."""

    def __init__(self, filters: int = 8) -> None:
        super().__init__()
        self.scales = nn.ModuleList(StftDiscriminator(*scale, filters) for scale in SCALES)

    def forward(self, audio: Tensor) -> list[Scored]:
        return [scale(audio) for scale in self.scales]


def discriminator_loss(discriminator: Discriminator, real: Tensor, generated: Tensor) -> Tensor:
    """Hinge loss: scores of real audio [B, N] above 1, of generated audio below -1."""
    # One pass over both costs less than two.
    scores = [score.float().chunk(2) for score, _ in discriminator(torch.cat([real, generated]))]
    return torch.stack([F.relu(1 - r).mean() + F.relu(1 + m).mean() for r, m in scores]).mean()


def generator_loss(
    discriminator: Discriminator, real: Tensor, generated: Tensor
) -> tuple[Tensor, Tensor]:
    """(adversarial hinge loss, feature matching relative to the real features' size).

    Gradients reach `generated` and no weight of the discriminator.
    """
    discriminator.requires_grad_(False)
    of_real, of_generated = discriminator(real), discriminator(generated)
    discriminator.requires_grad_(True)
    adversarial = torch.stack(
        [F.relu(1 - score.float()).mean() for score, _ in of_generated]
    ).mean()
    matching = [
        (F.l1_loss(m, r) / r.abs().mean().clamp(min=1e-4)).float()
        for (_, real_features), (_, features) in zip(of_real, of_generated, strict=True)
        for r, m in zip(real_features, features, strict=True)
    ]
    return adversarial, torch.stack(matching).mean()
