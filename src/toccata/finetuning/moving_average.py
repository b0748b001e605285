"""An exponential moving average of weights, better than their last values (Polyak 1992)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

# An average of the first few steps must not remember the start for long.
_YOUNG = 10


class MovingAverage:
    """An average of tensors by name; `weights` are its values, at first copies of the tensors.

    In the first steps it is close to their plain mean.
    """

    def __init__(self, tensors: Mapping[str, Tensor], decay: float) -> None:
        """decay: the share of the old average that a step keeps, below 1."""
        self._decay = decay
        self.weights = {name: one.detach().clone() for name, one in tensors.items()}

    @torch.no_grad()
    def update(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Move towards the tensors as they are after step number `step`, the first being 0."""
        share = 1 - min(self._decay, (1 + step) / (_YOUNG + step))
        for name, average in self.weights.items():
            if average.is_floating_point():  # counters of batches are not
                average.lerp_(tensors[name].detach(), share)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take over the values of an average of the same tensors."""
        for name, average in self.weights.items():
            average.copy_(weights[name])
