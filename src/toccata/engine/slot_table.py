"""The tensors that a step reads and writes, by slot, at fixed addresses.

`SlotTable.step` is captured as a graph: it looks up the inputs, runs the model, applies guidance,
samples, and advances the active slots by one step.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import replace

import torch
from torch import Tensor

from toccata.backends.base import GraphCapturable
from toccata.backends.static_attention import Size
from toccata.decoder.decoder import LMConfig
from toccata.engine.sampling import SamplingBatch, guide, sample
from toccata.engine.sequence import Sequence
from toccata.models.sampling_params import SamplingParams

CPU = torch.device("cpu")


class SlotTable:
    """The state of all slots on the device.

    Args:
        backend: A backend whose step can be captured as a graph.
        config: The shape of the language model.
        slots: How many slots are sampled together. A step always samples all of them, so that a
            slot's codes do not depend on how many are active.
        rows_per_slot: How many rows of the cache a slot owns, one per CFG branch.
        steps: The number of steps in the longest window.

    Attributes:
        codes: [slots, K + 1] int64, written by each step: K codes, then 1 if all logits were
            finite, else 0.
    """

    def __init__(
        self, backend: GraphCapturable, config: LMConfig, slots: int, rows_per_slot: int, steps: int
    ) -> None:
        self._backend, self._capture = backend, backend.graph_capture
        self._rows_per_slot, self._card = rows_per_slot, config.card
        device, books = backend.device, config.codebooks

        def numbers(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self._slots = torch.arange(slots, device=device)
        self._active = numbers(slots, dtype=torch.bool)
        self._known = numbers(slots, steps, books)  # -1 where a code is sampled
        self._uniform = numbers(slots, steps, books, dtype=torch.float64)
        self._step = numbers(slots)  # the last known one, which is read next
        self._prefix = numbers(slots)
        self._uncond, self._style = numbers(slots), numbers(slots)  # rows, counted in the slot
        self._cfg = numbers(slots, 1, 1, dtype=torch.float32)
        self._beta = numbers(slots, 1, 1, dtype=torch.float32)
        self._sampling = SamplingBatch.whole([SamplingParams()] * slots, config.card, device)
        self._logits = numbers(slots * rows_per_slot, books, config.card, dtype=torch.float32)
        self.codes = numbers(slots, books + 1)

    def load_slot(self, sequence: Sequence) -> None:
        """Copy the current window of `sequence` to its slot."""
        slot, params = sequence.slot, sequence.request.params
        known, uniform = (torch.from_numpy(part) for part in sequence.planned)
        self._send(known, self._known[slot, : len(known)])
        self._send(uniform, self._uniform[slot, : len(uniform)])
        last = sequence.branches - 1
        for place, value in (
            (self._step, sequence.step - 1),
            (self._prefix, sequence.prefix),
            (self._uncond, last),
            # A request without a style branch uses its conditional branch instead.
            (self._style, 1 if last == 2 else 0),
            (self._cfg, params.cfg),
            (self._beta, params.cfg_beta),
        ):
            self._send(torch.full_like(place[slot], value, device=CPU), place[slot])
        mine = SamplingBatch.whole([params], self._card, CPU)
        for name in ("temperature", "greedy", "top_k", "top_p"):
            self._send(getattr(mine, name)[0], getattr(self._sampling, name)[slot])

    def activate(self, slots: Many[int]) -> None:
        """Make `slots` the ones that steps advance."""
        active = torch.zeros(self._active.shape, dtype=torch.bool)
        active[list(slots)] = True
        self._send(active, self._active)

    def _send(self, values: Tensor, place: Tensor) -> None:
        self._capture.send(values.to(place.dtype), place)

    def step(self, size: Size, nucleus: bool) -> None:
        """Compute one step of the first size.rows rows; slots that are not active keep their state.

        Args:
            size: The shape of the step.
            nucleus: Whether top_p is applied; without it there is no sort.
        """
        slots = size.rows // self._rows_per_slot
        logits = self._backend.forward(
            size, self._by_row(self._inputs()[:slots]), self._by_row(self._positions()[:slots])
        )
        self._logits[: len(logits)] = logits
        guided = self._guided(self._logits.view(-1, self._rows_per_slot, *self._logits.shape[1:]))
        sampling = self._sampling if nucleus else replace(self._sampling, top_p=None)
        codes = sample(guided, sampling, self._uniform[self._slots, self._next_step()])
        finite = guided.sum(dim=(1, 2)).isfinite()
        output = torch.cat([codes, finite[:, None]], dim=1)
        self.codes.copy_(torch.where(self._active[:, None], output, self.codes))
        self._step.add_(self._active)

    def _inputs(self) -> Tensor:
        """Return the next input [slots, K]: known codes, and the last sampled ones elsewhere."""
        known = self._known[self._slots, self._step]
        return torch.where(known < 0, self.codes[:, :-1], known)

    def _positions(self) -> Tensor:
        return torch.where(self._active, self._prefix + self._step, self._backend.dummy_slot)

    def _next_step(self) -> Tensor:
        # A slot whose window is full stays at the last step until its request leaves.
        return (self._step + 1).clamp(max=self._known.shape[1] - 1)

    def _by_row(self, x: Tensor) -> Tensor:
        """Repeat a slot's entry for each of its rows: [slots, ...] -> [rows, ...]."""
        return x.unsqueeze(1).expand(-1, self._rows_per_slot, *x.shape[1:]).flatten(0, 1)

    def _guided(self, logits: Tensor) -> Tensor:
        """Apply guidance: logits [slots, rows, K, card] -> [slots, K, card]."""
        cond = logits[:, 0]
        if self._rows_per_slot == 3:
            cond = guide(cond, logits[self._slots, self._style], self._beta)
        return guide(cond, logits[self._slots, self._uncond], self._cfg)
