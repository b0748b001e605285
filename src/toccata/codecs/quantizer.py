"""Residual vector quantisation (EnCodec, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ResidualQuantizer(nn.Module):
    """K codebooks [K, card, D], each of which quantises the residual of the ones before."""

    def __init__(self, codebooks: int, card: int, dimension: int) -> None:
        super().__init__()
        self.codebooks = nn.Parameter(torch.zeros(codebooks, card, dimension), requires_grad=False)

    def encode(self, latents: Tensor) -> Tensor:
        """Quantise latents [B, D, T] to codes [B, K, T], the nearest entry of each codebook."""
        residual = latents.transpose(1, 2)
        codes = []
        for book in self.codebooks:
            nearest = squared_distances(residual, book).argmin(-1)
            residual = residual - book[nearest]
            codes.append(nearest)
        return torch.stack(codes, 1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, K, T] to the sum of their entries [B, D, T]."""
        entries = [book[codes[:, k]] for k, book in enumerate(self.codebooks)]
        return torch.stack(entries).sum(0).transpose(1, 2)


def squared_distances(x: Tensor, book: Tensor) -> Tensor:
    """||x - e||^2 for vectors x [..., D] and entries e [card, D] -> [..., card]."""
    return x.pow(2).sum(-1, keepdim=True) - 2 * x @ book.T + book.pow(2).sum(-1)
