"""Style conditioning: the character of a few seconds of music, without their notes.

It is that of Rouard et al. 2024, "Audio conditioning for music generation via discrete bottleneck
features":

excerpt -> MERT features, 75 a second -> transformer -> batch norm -> 3 of 6 codebooks -> every 15th
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from toccata.audio.waveform import Waveform
from toccata.codecs.quantizer import ResidualQuantizer
from toccata.conditioners.chroma import mono
from toccata.conditioners.hubert import Hubert, HubertConfig
from toccata.conditioners.sinc import can_resample, sinc_resample
from toccata.config_limits import check_limits
from toccata.decoder.layers import Layer, sinusoidal_positions

BATCH_NORM_EPS = 1e-5


@dataclass(frozen=True)
class StyleConfig:
    """The shape of a style encoder.

    Attributes:
        dim: The width of the transformer and of the rows.
        layers: The number of layers.
        heads: The number of attention heads.
        codebooks: How many of the trained codebooks are used; with fewer, rows have less detail.
        card: The number of codes in a codebook.
        every: Every so many features, one is kept.
        length_s: The length of the excerpt in seconds.
        sample_rate_hz: The rate of the excerpt.
        mert: The shape of MERT.

    Raises:
        CheckpointError: If a number is out of range.
    """

    dim: int = 512
    layers: int = 8
    heads: int = 8
    codebooks: int = 3
    card: int = 1024
    every: int = 15
    length_s: float = 3.0
    sample_rate_hz: int = 24000
    mert: HubertConfig = field(default_factory=HubertConfig)

    def __post_init__(self) -> None:
        check_limits(self)


class StyleEncoder(nn.Module):
    """Encodes an excerpt of music as a few vectors that describe its style."""

    def __init__(self, config: StyleConfig) -> None:
        super().__init__()
        self.config = config
        self.mert = Hubert(config.mert)
        self.embed = nn.Linear(config.mert.dim, config.dim)
        self.layers = nn.ModuleList(
            Layer(config.dim, config.heads, 4 * config.dim, cross_attention=False, causal=False)
            for _ in range(config.layers)
        )
        self.mean = nn.Parameter(torch.zeros(config.dim), requires_grad=False)
        self.variance = nn.Parameter(torch.ones(config.dim), requires_grad=False)
        self.quantizer = ResidualQuantizer(config.codebooks, config.card, config.dim)

    @torch.inference_mode()
    def encode(self, waveform: Waveform, model_rate_hz: int | None = None) -> Tensor:
        """Encode an excerpt from the middle of a waveform; a shorter waveform is repeated.

        As in audiocraft, audio is resampled to the model's rate and from there to the style
        encoder's, both times with julius' filter. audiocraft takes a random excerpt instead of the
        middle, with which a request would not be reproducible.

        Args:
            waveform: Audio of any rate, length and channels, which are averaged.
            model_rate_hz: The model's rate; None skips the first resampling.

        Returns:
            Rows [P, dim] float32.
        """
        excerpt = middle(waveform, self.config.length_s)
        excerpt = mono(excerpt, excerpt.sample_rate_hz)
        for rate_hz in (model_rate_hz, self.config.sample_rate_hz):
            excerpt = excerpt if rate_hz is None else _resampled(excerpt, rate_hz)
        audio = torch.from_numpy(excerpt.samples).to(self.mean.device)
        rows: Tensor = self(audio)[0]
        return rows

    def forward(self, audio: Tensor) -> Tensor:
        """Encode mono audio [B, N] at sample_rate_hz -> [B, P, dim]."""
        x = self.embed(self.mert(audio))
        positions = torch.arange(x.shape[1], device=x.device)
        x = x + sinusoidal_positions(positions, self.config.dim)
        for layer in self.layers:
            x = layer(x, None, None)
        x = (x - self.mean) / (self.variance + BATCH_NORM_EPS).sqrt()
        codes = self.quantizer.encode(x.transpose(1, 2))
        return self.quantizer.decode(codes).transpose(1, 2)[:, :: self.config.every]


def _resampled(waveform: Waveform, rate_hz: int) -> Waveform:
    """Resample with audiocraft's filter, or with ours if that filter would be too large."""
    from toccata.audio.transforms import resample

    if not can_resample(waveform.sample_rate_hz, rate_hz):
        return resample(waveform, rate_hz)
    samples = sinc_resample(torch.from_numpy(waveform.samples), waveform.sample_rate_hz, rate_hz)
    return Waveform(samples.numpy(), rate_hz)


def middle(waveform: Waveform, length_s: float) -> Waveform:
    """Return `length_s` around the middle; a shorter waveform is repeated from its start."""
    length = round(length_s * waveform.sample_rate_hz)
    samples = waveform.samples
    repeats = math.ceil(length / samples.shape[1])
    samples = np.tile(samples, (1, repeats)) if repeats > 1 else samples
    start = 0 if repeats > 1 else (samples.shape[1] - length) // 2
    return Waveform(samples[:, start : start + length], waveform.sample_rate_hz)
