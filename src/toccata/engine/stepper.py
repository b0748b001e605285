"""Steppers compute one step of all running requests; the other one is in overlapped.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch

from toccata.backends.base import Backend
from toccata.engine.batch import Batch
from toccata.engine.sequence import Codes, Sequence

Outcome = tuple[Sequence, Codes, bool]
"""A request, the codes [K] of its next step, and whether its logits were all finite."""


class Stepper(ABC):
    """Computes steps and samples codes for the running requests of an engine."""

    @abstractmethod
    def step(self, running: list[Sequence]) -> Iterable[Outcome]:
        """Compute one step, and return the codes that are available now.

        They may be the codes of the step before. A request that stays in `running` gets the codes
        of every step once, in order.

        Args:
            running: The requests in the batch, ordered by slot. The caller passes a new list, and
                never changes an old one, when a request joins or leaves.
        """

    @abstractmethod
    def forget(self) -> None:
        """Drop all references to requests, after the last running one has ended."""

    @abstractmethod
    def warm_up(self, slots: int, positions: int) -> None:
        """Allocate and capture what `slots` requests of `positions` need, before they run."""


class SynchronousStepper(Stepper):
    """Computes a step and waits for its codes; works with any backend.

    Args:
        backend: The backend that computes steps.
        rows_per_slot: How many rows of the cache a slot owns, one per CFG branch.
        card: The number of codes in a codebook.
        device: Where codes are sampled.
    """

    def __init__(
        self, backend: Backend, rows_per_slot: int, card: int, device: torch.device
    ) -> None:
        self._backend = backend
        self._rows_per_slot = rows_per_slot
        self._card, self._device = card, device
        self._batch: Batch | None = None

    def step(self, running: list[Sequence]) -> Iterable[Outcome]:
        if not running:
            return ()
        if self._batch is None or self._batch.members is not running:
            self._batch = Batch(running, self._rows_per_slot, self._card, self._device)
        batch = self._batch
        logits = self._backend.step(batch.rows, batch.positions(), batch.codes())
        return zip(running, *batch.choose(logits), strict=True)

    def forget(self) -> None:
        self._batch = None

    def warm_up(self, slots: int, positions: int) -> None:
        self._backend.reserve(slots * self._rows_per_slot, positions)
