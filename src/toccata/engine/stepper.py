"""How everybody who runs is moved on by a step: one after the other, or one ahead (ahead.py)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch

from toccata.backends.base import Backend
from toccata.engine.batch import Batch
from toccata.engine.sequence import Codes, Sequence

Outcome = tuple[Sequence, Codes, bool]
"""A request, its codes [K] of its next step, and whether its logits were all finite."""


class Stepper(ABC):
    @abstractmethod
    def step(self, running: list[Sequence]) -> Iterable[Outcome]:
        """Compute a step of those who run (by slot), and give the codes that are known now.

        Those may be of the step before: a request that is still in `running` gets its codes in
        order, each once. The list is replaced, never changed, when somebody comes or leaves.
        """

    @abstractmethod
    def forget(self) -> None:
        """Nobody runs any more: keep nothing of those who did."""

    @abstractmethod
    def warm_up(self, slots: int, positions: int) -> None:
        """Prepare now what would be prepared on the way, for `slots` requests of that length."""


class SynchronousStepper(Stepper):
    """Computes a step and waits for its codes. For any backend."""

    def __init__(
        self, backend: Backend, rows_per_slot: int, card: int, device: torch.device
    ) -> None:
        """device: where codes are sampled."""
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
