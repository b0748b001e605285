"""Losses of the tagger and the key classifier, with augmentation, and their training loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.mini.tagger.dataset import UNKNOWN, TaggerDataset
from toccata.analysis.key_classifier import KeyClassifier
from toccata.analysis.tagger import TAGGER_FRAMES_PER_SECOND, Tagger

log = logging.getLogger(__name__)
_SMOOTHING = 0.05
_TILT_LOG10, _EQ_KNOTS = 0.15, 6  # 3 dB up or down at each of some bands
_NOISE_LOG10 = (-3.5, -1.5)  # the magnitude of noise in a band
_HIDDEN_BANDS, _HIDDEN_FRAMES = 8, 60
_SHORTEST_OF_CROP = 0.5  # of registers: keys of short clips are estimated too


@dataclass(frozen=True)
class Crops:
    """Lengths in frames: of images, and at most of registers."""

    image: int
    registers: int

    @classmethod
    def of(cls, crop_s: float, song_s: float, dataset: TaggerDataset) -> Crops:
        registers = round(dataset.registers.shape[-1] * crop_s / song_s)
        return cls(round(crop_s * TAGGER_FRAMES_PER_SECOND), registers)


def tagging_loss(
    tagger: Tagger, dataset: TaggerDataset, crops: Crops, rng: torch.Generator
) -> Tensor:
    """The summed cross-entropy of the three heads on [B] clips, in nats."""
    images = augmented(cropped(dataset.images.float(), crops.image, rng), rng)
    logits = tagger(images)
    drums = F.binary_cross_entropy_with_logits(logits.drums, dataset.drums.float())
    genres = F.cross_entropy(logits.genres, dataset.genres, label_smoothing=_SMOOTHING)
    families = F.cross_entropy(
        logits.families, dataset.families, ignore_index=UNKNOWN, label_smoothing=_SMOOTHING
    )
    return genres + families + drums


def key_loss(
    network: KeyClassifier, dataset: TaggerDataset, crops: Crops, rng: torch.Generator
) -> Tensor:
    """The cross-entropy of the keys of [B] clips, in nats."""
    shortest = round(crops.registers * _SHORTEST_OF_CROP)
    length = int(torch.randint(shortest, crops.registers + 1, (), generator=rng))
    scores = network(cropped(dataset.registers.float(), length, rng))
    return F.nll_loss(scores, dataset.keys, ignore_index=UNKNOWN)


def cropped(rows: Tensor, length: int, rng: torch.Generator) -> Tensor:
    """[B, ..., T] to [B, ..., length], each from a place of its own."""
    starts = torch.randint(rows.shape[-1] - length + 1, (len(rows),), generator=rng).tolist()
    pieces = zip(rows, starts, strict=True)
    return torch.stack([row[..., start : start + length] for row, start in pieces])


def augmented(images: Tensor, rng: torch.Generator) -> Tensor:
    """Augment images [B, bands, T]: filters, noise, and masked bands and frames (SpecAugment)."""
    count, bands, frames = images.shape
    knots = (2 * torch.rand(count, 1, _EQ_KNOTS, generator=rng) - 1) * _TILT_LOG10
    tilted = images + F.interpolate(knots, bands, mode="linear").transpose(1, 2)
    low, high = _NOISE_LOG10
    noise = low + (high - low) * torch.rand(count, 1, 1, generator=rng) ** 3
    noisy = torch.log10(10**tilted + 10**noise * torch.rand(tilted.shape, generator=rng))
    hidden = _stripes(count, bands, _HIDDEN_BANDS, rng)[:, :, None]
    hidden = hidden | _stripes(count, frames, _HIDDEN_FRAMES, rng)[:, None]
    return torch.where(hidden, noisy.mean((1, 2), keepdim=True), noisy)


def _stripes(count: int, length: int, widest: int, rng: torch.Generator) -> Tensor:
    """[count, length], True along one stretch of each row, of 0 to `widest`."""
    widths = torch.randint(widest + 1, (count, 1), generator=rng)
    starts = torch.randint(length, (count, 1), generator=rng)
    places = torch.arange(length)
    return (places >= starts) & (places < starts + widths)


def batches(count: int, size: int, epochs: int, rng: torch.Generator) -> list[Tensor]:
    """Indices of batches: all clips once in each epoch, except the rest of less than a batch."""
    size = min(size, count)
    whole = count // size * size
    orders = [torch.randperm(count, generator=rng)[:whole] for _ in range(epochs)]
    return [batch for order in orders for batch in torch.split(order, size)]


def train(
    network: nn.Module, loss_of: Callable[[Tensor], Tensor], steps: Sequence[Tensor], lr: float
) -> None:
    """Train on the clips of each step by AdamW, up to `lr` and down again along a cosine (Smith and
    Topin 2017, "Super-convergence").
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, len(steps), pct_start=0.15)
    network.train()
    for step, chosen in enumerate(steps, 1):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(chosen)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            name = type(network).__name__
            log.info("%s step %d/%d loss %.3f", name, step, len(steps), loss.item())
    network.eval()
