"""The input of the first layer: embedded codes, positions and per-step conditioning."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.backends.step_conditioning import StepConditioningBuffer
from toccata.decoder.decoder import Decoder
from toccata.decoder.layers import sinusoidal_positions


class StepInputs:
    """Computes the input of the first layer for each position, [..., D] float32.

    It is the sum of the codes' embeddings, the sinusoidal position and the step conditioning.
    """

    def __init__(self, decoder: Decoder) -> None:
        config = decoder.config
        tables = [table.get_parameter("weight").detach() for table in decoder.embed]
        self._embed = torch.cat(tables)
        self._dim, self._device = config.dim, self._embed.device
        self._offsets = torch.arange(config.codebooks, device=self._device) * (config.card + 1)
        self._sinusoids = torch.zeros(0, config.dim, device=self._device)
        self.step_conditioning = StepConditioningBuffer(config.dim, self._device)

    def open(
        self, row: int, rows: int, positions: int, step_conditioning: Sequence[Tensor | None]
    ) -> None:
        """Prepare rows row .. row + rows - 1 for `positions`, as `Backend.open` describes."""
        self.step_conditioning.open(row, rows, positions, step_conditioning)
        self.extend_sinusoids(positions)

    def extend_sinusoids(self, positions: int) -> None:
        """Compute the sinusoidal embeddings of at least so many positions."""
        if positions > len(self._sinusoids):
            self._sinusoids = sinusoidal_positions(
                torch.arange(positions, device=self._device), self._dim
            )

    def embed(self, codes: Tensor) -> Tensor:
        """Embed codes and sum over codebooks: [..., K] -> [..., D]."""
        return F.embedding(codes.to(self._device) + self._offsets, self._embed).float().sum(-2)

    def chunk(self, row: int, start: int, embedded: Tensor) -> Tensor:
        """Complete embedded [R, S, D], positions `start` on of rows row .. row + R - 1."""
        x = embedded + self._sinusoids[start : start + embedded.shape[1]]
        self.step_conditioning.add_chunk(x, row, start)
        return x

    def step(self, rows: Tensor, positions: Tensor, codes: Tensor) -> Tensor:
        """Embed codes [R, K] at one position of each of `rows` -> [R, D]."""
        x = self.embed(codes) + self._sinusoids[positions]
        self.step_conditioning.add_step(x, rows, positions)
        return x
