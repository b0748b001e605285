"""Learn the codebooks: k-means start, moving averages, and revival of unused codes.

Moving-average codebooks are van den Oord et al. 2017, appendix A.1; straight-through gradients
and the commitment loss are section 3.2 there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toccata.codecs.quantizer import ResidualQuantizer, squared_distances


class CodebookLearner(nn.Module):
    """Updates the codebooks of `quantizer` in place while it quantises training latents."""

    usage: Tensor
    sums: Tensor

    def __init__(self, quantizer: ResidualQuantizer, decay: float = 0.99) -> None:
        super().__init__()
        self._quantizer = [quantizer]  # in a list: its parameters are the codec's, not ours
        self.decay = decay
        books = quantizer.codebooks
        self.register_buffer("usage", torch.ones(books.shape[:2]))
        self.register_buffer("sums", torch.zeros_like(books))

    @property
    def books(self) -> Tensor:
        return self._quantizer[0].codebooks

    @torch.no_grad()
    def start(self, latents: Tensor, rounds: int = 12) -> None:
        """Set the codebooks by k-means on latents [M, D], each level on what is left over."""
        residual = latents
        for book, usage, sums in zip(self.books, self.usage, self.sums, strict=True):
            centres, counts = k_means(residual, book.shape[0], rounds)
            book.copy_(centres)
            usage.copy_(counts / counts.mean())
            sums.copy_(centres * usage[:, None])
            residual = residual - book[squared_distances(residual, book).argmin(-1)]

    @torch.no_grad()
    def follow(self, vectors: float) -> None:
        """Continue from the codebooks as they are, in batches of so many vectors."""
        self.usage.fill_(vectors / self.books.shape[1])
        self.sums.copy_(self.books * self.usage[..., None])

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Latents [B, D, T] to (quantised, with straight-through gradient; commitment loss)."""
        residual = latents.transpose(1, 2).flatten(0, 1)
        commitment = latents.new_zeros(())
        total = torch.zeros_like(residual)
        for level in range(len(self.books)):
            entries = self._quantize(level, residual.detach())
            commitment = commitment + F.mse_loss(residual, entries)
            residual = residual - entries
            total = total + entries
        shaped = total.view(latents.shape[0], -1, latents.shape[1]).transpose(1, 2)
        return latents + (shaped - latents).detach(), commitment / len(self.books)

    @torch.no_grad()
    def _quantize(self, level: int, vectors: Tensor) -> Tensor:
        book, usage, sums = self.books[level], self.usage[level], self.sums[level]
        nearest = squared_distances(vectors, book).argmin(-1)
        entries = book[nearest]
        if self.training:
            counts = torch.bincount(nearest, minlength=len(book)).to(usage.dtype)
            usage.lerp_(counts, 1 - self.decay)
            sums.lerp_(torch.zeros_like(sums).index_add_(0, nearest, vectors), 1 - self.decay)
            book.copy_(sums / usage[:, None].clamp(min=1e-5))
            self._revive(level, vectors)
        return entries

    def _revive(self, level: int, vectors: Tensor) -> None:
        """Codes used a tenth as often as the mean start again at a random vector."""
        usage = self.usage[level]
        mean = usage.mean()
        dead = (usage < 0.1 * mean).nonzero()[:, 0]
        if len(dead):
            chosen = vectors[torch.randint(len(vectors), (len(dead),))]
            self.books[level][dead] = chosen
            usage[dead] = mean
            self.sums[level][dead] = chosen * mean


def k_means(points: Tensor, count: int, rounds: int) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm on [M, D]: centres [count, D] and cluster sizes [count]."""
    centres = points[torch.randperm(len(points))[:count]]
    counts = torch.ones(count)
    for _ in range(rounds):
        nearest = squared_distances(points, centres).argmin(-1)
        counts = torch.bincount(nearest, minlength=count).to(points.dtype)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centres)
    return centres, counts
