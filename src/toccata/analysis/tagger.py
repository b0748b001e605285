"""The tagger: a small network that predicts genre, lead instrument and whether there are drums.

Its embedding is also the space in which a Frechet distance compares sets of clips. It was trained
on songs that toccata composes and renders (`python -m recipes.mini tagger`), half of them after the
codec.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from toccata.analysis.spectrum import RATE_HZ, Samples, analysis_audio, magnitudes, mel_bank

BANDS, TAGGER_FRAMES_PER_SECOND = 64, 50
_N_FFT, _HOP = 2_048, RATE_HZ // TAGGER_FRAMES_PER_SECOND
_LEVEL_RMS, _FLOOR = 0.1, 3e-4
_HALVINGS = 4  # of bands and of time
_EMBEDDED = 64


@dataclass(frozen=True)
class Classes:
    """The tagger's classes, and the width of its first layer."""

    genres: tuple[str, ...]
    families: tuple[str, ...]
    width: int = 24


class TagLogits(NamedTuple):
    """The tagger's output for B clips: embedding [B, 64], and logits; of drums [B]."""

    embedding: Tensor
    genres: Tensor
    families: Tensor
    drums: Tensor


@dataclass(frozen=True, eq=False)
class TagPrediction:
    """The tagger's prediction for one clip; `embedding` is [64]."""

    embedding: Tensor
    genre: str
    family: str
    drums: bool


def mel_image(samples: Samples, sample_rate_hz: int) -> Tensor:
    """The tagger's input: log10 mel magnitudes [BANDS, T] of samples [N] or [C, N].

    The level is normalized first.
    """
    audio = analysis_audio(samples, sample_rate_hz)
    audio = audio * (_LEVEL_RMS / audio.square().mean().sqrt().clamp(min=1e-5))
    bank = mel_bank(_N_FFT, BANDS, RATE_HZ)
    return (bank.T @ magnitudes(audio[None], _N_FFT, _HOP)[0]).clamp(min=_FLOOR).log10()


class Tagger(nn.Module):
    """A convolutional network from `mel_image`s [B, BANDS, T] to `TagLogits`."""

    def __init__(self, classes: Classes) -> None:
        super().__init__()
        self.classes = classes
        sizes = [1, *(round(classes.width * times) for times in (1, 2, 4, 5, 5))]
        strides = [2] * _HALVINGS + [1]
        pairs = zip(pairwise(sizes), strides, strict=True)
        self.layers = nn.Sequential(*(_layer(*pair, stride) for pair, stride in pairs))
        self.dropout = nn.Dropout(0.3)
        pooled = 2 * sizes[-1] * (BANDS >> _HALVINGS)
        self.embed = nn.Linear(pooled, _EMBEDDED)
        self.genres = nn.Linear(_EMBEDDED, len(classes.genres))
        self.families = nn.Linear(_EMBEDDED, len(classes.families))
        self.drums = nn.Linear(_EMBEDDED, 1)

    def forward(self, mel: Tensor) -> TagLogits:
        x = self.layers(mel[:, None] + 2)
        over_time = torch.cat([x.mean(-1), x.amax(-1)], 1).flatten(1)
        embedding = self.embed(self.dropout(over_time))
        hints = nn.functional.gelu(embedding)
        drums = self.drums(hints)[:, 0]
        return TagLogits(embedding, self.genres(hints), self.families(hints), drums)

    @torch.inference_mode()
    def predict(self, samples: Samples, sample_rate_hz: int) -> TagPrediction:
        """Predict the tags of one clip.

        Args:
            samples: [N] or [C, N]; the network was trained on 8 s.
            sample_rate_hz: Their rate.
        """
        logits: TagLogits = self(mel_image(samples, sample_rate_hz)[None])
        return TagPrediction(
            embedding=logits.embedding[0],
            genre=self.classes.genres[int(logits.genres.argmax())],
            family=self.classes.families[int(logits.families.argmax())],
            drums=bool(logits.drums > 0),
        )


def _layer(channels: int, out: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU())
