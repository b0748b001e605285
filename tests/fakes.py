"""A complete tiny model in memory: random decoder, a codec of sines, text by hash.

Deterministic, fast, no files. `fake_model()` has the shape of `toccata.models.model.Model`.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from toccata.audio.waveform import Waveform
from toccata.codecs.base import Codec, OnBlock, StreamDecoder
from toccata.conditioners.beats import FEATURES
from toccata.conditioners.chroma import ChromaConfig
from toccata.decoder.decoder import Decoder, LMConfig
from toccata.models.model import Model
from toccata.models.sampling_params import SamplingParams

TEXT_DIM = 6
SAMPLE_RATE_HZ = 1600
HOP = 32


class SineCodec(Codec):
    """Every frame is a sum of one sine per codebook; the code is its pitch."""

    def __init__(self, codebooks: int = 4, card: int = 16, channels: int = 1) -> None:
        self.sample_rate_hz, self.hop = SAMPLE_RATE_HZ, HOP
        self.codebooks, self.card, self.channels = codebooks, card, channels

    def encode(self, audio: Tensor, on_block: OnBlock | None = None) -> Tensor:
        frames = -(-audio.shape[-1] // self.hop)
        padded = torch.nn.functional.pad(audio, (0, frames * self.hop - audio.shape[-1]))
        level = padded.mean(1).view(-1, frames, self.hop).abs().mean(-1, keepdim=True)
        shades = level * (torch.arange(self.codebooks) + 1) * 1000
        return (shades.long() % self.card).transpose(1, 2)

    def decode(self, codes: Tensor) -> Tensor:
        time = torch.arange(self.hop) / self.hop
        pitch = (codes + 1).unsqueeze(-1) * time
        waves = torch.sin(2 * torch.pi * pitch).mean(1).flatten(1)
        audio: Tensor = 0.5 * waves.unsqueeze(1).expand(-1, self.channels, -1)
        return audio

    def stream(self) -> StreamDecoder:
        return _SineStream(self)


class _SineStream:
    """Holds back one frame, as a codec with right context does."""

    def __init__(self, codec: SineCodec) -> None:
        self._codec = codec
        self._held = torch.zeros(codec.codebooks, 0, dtype=torch.int64)

    def push(self, codes: Tensor) -> Tensor:
        known = torch.cat([self._held, codes], dim=1)
        self._held = known[:, -1:]
        return self._codec.decode(known[None, :, :-1])[0]

    def finish(self) -> Tensor:
        return self._codec.decode(self._held[None])[0]


class HashTextEncoder:
    """One vector per word, drawn from the word's hash."""

    def encode(self, prompt: str) -> Tensor:
        rows = [self._word(word) for word in prompt.split()] or [np.zeros(TEXT_DIM)]
        return torch.from_numpy(np.stack(rows)).float()

    def _word(self, word: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        digest = hashlib.sha256(word.encode()).digest()
        return np.random.default_rng(list(digest)).standard_normal(TEXT_DIM)


def fake_decoder(
    *,
    cross_attention: bool = True,
    delays: tuple[int, ...] = (0, 1, 2, 3),
    card: int = 16,
    dim: int = 32,
    melody: bool = False,
    beats: bool = False,
) -> Decoder:
    """Random weights, large enough that every condition changes what is sampled."""
    cond_dims = {"description": TEXT_DIM}
    cond_dims |= {"self_wav": 12} if melody else {}
    added = {"beats": FEATURES, "description_steps": TEXT_DIM, "self_wav_steps": 37, "drums": 2}
    cond_dims |= added if beats else {}
    config = LMConfig(
        dim=dim,
        layers=2,
        heads=2,
        ffn_dim=2 * dim,
        card=card,
        codebooks=len(delays),
        cross_attention=cross_attention,
        delays=delays,
        cond_dims=cond_dims,
    )
    decoder = Decoder(config)
    generator = torch.Generator().manual_seed(7)
    for parameter in decoder.parameters():
        if parameter.dim() > 1:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data = noise * 2.0 / parameter.shape[1] ** 0.5
    for projection in decoder.projections.values():
        projection.get_parameter("bias").data = 0.1 * torch.randn(dim, generator=generator)
    return decoder.eval().requires_grad_(False)


def fake_model(
    *,
    cross_attention: bool = True,
    melody: bool = False,
    beats: bool = False,
    channels: int = 1,
    segment_s: float = 1.0,
    card: int = 16,
    dim: int = 32,
) -> Model:
    """50 frames a second at 1600 Hz; `melody` makes it a prefix model that follows one, `beats`
    one that keeps a tempo too, and hears words and melody at every step.
    """
    delays = (0, 1, 2, 3) if channels == 1 else (0, 0, 1, 1, 2, 2, 3, 3)
    frames = int(segment_s * SAMPLE_RATE_HZ) // 64 + 1
    chroma = ChromaConfig(SAMPLE_RATE_HZ, window=256, hop=64, frames=frames, stems=False)
    return Model(
        name="fake",
        lm=fake_decoder(
            cross_attention=cross_attention and not melody,
            delays=delays,
            card=card,
            dim=dim,
            melody=melody,
            beats=beats,
        ),
        codec=SineCodec(len(delays), card, channels),
        text_encoder=HashTextEncoder(),
        chroma=chroma if melody else None,
        segment_s=segment_s,
        defaults=SamplingParams(),
        device=torch.device("cpu"),
        dtype=torch.float32,
        licence="none: random weights",
    )


def tone(duration_s: float, pitch_hz: float = 100.0, channels: int = 1) -> Waveform:
    """A decaying sine at the fake codec's rate."""
    time = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave = (0.5 * np.sin(2 * np.pi * pitch_hz * time) * np.exp(-time)).astype(np.float32)
    return Waveform(np.tile(wave, (channels, 1)), SAMPLE_RATE_HZ)
