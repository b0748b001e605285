"""A linear classifier on the tagger's embeddings, which decides whether a clip has the style."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_RIDGE = 0.1  # on features of unit variance
_MIN_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class Classifier:
    """A linear classifier of embeddings, which are first scaled to (x - mean) / spread."""

    mean: Tensor
    spread: Tensor
    weights: Tensor

    @classmethod
    def fit(cls, style: Tensor, others: Tensor) -> Classifier:
        """Fit it by ridge regression on +1 and -1, with equal total weight of both classes.

        Args:
            style: Embeddings of the style, [N, E].
            others: Embeddings of other music, [M, E].
        """
        x = torch.cat([style, others]).double()
        counts = torch.tensor([len(style), len(others)])
        target = torch.tensor([1.0, -1.0], dtype=x.dtype).repeat_interleave(counts)
        share = (0.5 / counts.double()).repeat_interleave(counts)[:, None]
        mean = (share * x).sum(0)
        spread = (share * (x - mean).square()).sum(0).sqrt().clamp(min=_MIN_SPREAD)
        scaled = (x - mean) / spread
        pull = _RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
        weighed = (share * scaled).T
        # No bias is needed: with equal weights of classes, targets and features have mean 0.
        return cls(mean, spread, torch.linalg.solve(weighed @ scaled + pull, weighed @ target))

    def is_style(self, embeddings: Tensor) -> Tensor:
        """Classify embeddings [N, E] -> bool [N]."""
        scaled = (embeddings.double() - self.mean) / self.spread
        return scaled @ self.weights > 0

    def share(self, embeddings: Tensor) -> float:
        """Return the share of embeddings [N, E] that have the style, 0 to 1."""
        return round(float(self.is_style(embeddings).double().mean()), 4)
