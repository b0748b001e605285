"""The step loop: admit requests, prefill one chunk, compute one step of all running requests.

Any thread may call `step`; a lock lets one at a time through. The engine has no thread of its own:
each thread that waits for its request calls `step`, which advances all other requests too.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from toccata.backends import best, create
from toccata.backends.base import GraphCapturable
from toccata.decoder.delay import steps_of
from toccata.engine.overlapped import OverlappedStepper
from toccata.engine.scheduler import Scheduler
from toccata.engine.sequence import Request, Sequence
from toccata.engine.stepper import Stepper, SynchronousStepper
from toccata.engine.windows import Window
from toccata.errors import GenerationError, ToccataError

if TYPE_CHECKING:
    from toccata.backends.base import Backend
    from toccata.conditioners.base import Conditions
    from toccata.models.model import Model

MAX_PREFIX = 320
"""Positions that `warm_up` reserves for prefix conditioning: 235 of a melody, and the text."""


@dataclass(eq=False)
class _Prefill:
    chunks: deque[Tensor]  # [R, S, D] each
    start: int = 0


class Engine:
    """Runs up to `slots` requests at once over one model; the others wait in order of arrival.

    Args:
        model: The model, whose language model the backend runs.
        slots: How many requests run at once.
        backend: The name of a backend; None selects the fastest.

    Raises:
        InputError: If there is no backend of this name, or it cannot run the model.
    """

    def __init__(self, model: Model, slots: int = 8, backend: str | None = None) -> None:
        self._config = model.lm.config
        self._slots = slots
        self._backend = create(backend or best(model.lm), model.lm)
        self._segment_frames = int(model.segment_s * model.codec.frame_rate_hz)
        self._rows_per_slot = 2 if model.style is None else 3
        self._stepper = self._new_stepper(model.device)
        self._scheduler = Scheduler(slots)
        self._prefills: dict[Sequence, _Prefill] = {}
        self._lock = threading.Lock()

    @property
    def backend(self) -> Backend:
        """The backend, for measurements only: the engine calls it under its lock."""
        return self._backend

    def _new_stepper(self, device: torch.device) -> Stepper:
        if isinstance(self._backend, GraphCapturable):
            return OverlappedStepper(
                self._backend, self._config, self._slots, self._rows_per_slot, self._max_steps
            )
        # Sampling uses float64, which Apple's GPUs do not support.
        sampling = torch.device("cpu") if device.type == "mps" else device
        return SynchronousStepper(self._backend, self._rows_per_slot, self._config.card, sampling)

    @property
    def _max_steps(self) -> int:
        """The number of steps in a window that fills a segment."""
        return steps_of(self._segment_frames, self._config.delays)

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Allocate memory for all slots and capture graphs, so that first requests need not wait.

        Raises:
            InputError: If the device has too little memory for so many slots.
        """
        prefix = 0 if self._config.cross_attention else MAX_PREFIX
        with self._lock:
            self._stepper.warm_up(self._slots, prefix + self._max_steps)

    def submit(self, request: Request) -> Sequence:
        """Queue `request`.

        Returns:
            A handle, whose codes are filled in by calls of `step`.
        """
        sequence = Sequence(request, self._config, self._segment_frames)
        with self._lock:
            self._scheduler.add(sequence)
        return sequence

    def cancel(self, sequence: Sequence) -> None:
        """End `sequence` at once, with the codes it has; do nothing if it has ended already."""
        with self._lock:
            if not sequence.finished:
                self._end(sequence, "cancelled")

    def close(self) -> None:
        """End all requests at once."""
        with self._lock:
            for sequence in self._scheduler.unfinished:
                self._end(sequence, "cancelled")

    @torch.inference_mode()
    def step(self) -> bool:
        """Advance every running request by at most one step.

        Returns:
            False once no request is left.
        """
        with self._lock:
            try:
                self._step()
            except RuntimeError as failure:
                self._end_holders(failure)
            return not self._scheduler.idle

    def _step(self) -> None:
        for sequence in self._scheduler.admit():
            self._open_window(sequence)
        self._prefill_chunk()
        self._step_running()

    def _open_window(self, sequence: Sequence) -> None:
        window = sequence.next_window()
        if window is None:
            self._end(sequence, "done")
            return
        try:
            self._open(sequence, window, sequence.request.conditions(window.offset))
        except ToccataError as error:
            self._end(sequence, "failed", error)

    def _open(self, sequence: Sequence, window: Window, conditions: Conditions) -> None:
        sequence.choose_branches(conditions)
        embedded = self._embed_known(sequence, conditions)
        sequence.prefix = embedded.shape[1] - sequence.step + 1
        steps = steps_of(window.frames, self._config.delays)
        memories = [conditions.text, *[None] * (sequence.branches - 1)]
        sums = [
            conditions.step_conditioning,
            *[conditions.unconditional_step_conditioning] * (sequence.branches - 1),
        ]
        step_conditioning = [None if branch is None else branch[:steps] for branch in sums]
        self._backend.open(
            self._row(sequence), sequence.prefix + steps, memories, step_conditioning
        )
        if embedded.shape[1] == 0:
            self._scheduler.run(sequence)
        else:
            chunks = torch.split(embedded, self._backend.prefill_positions, dim=1)
            self._prefills[sequence] = _Prefill(deque(chunks))
            self._scheduler.prefill(sequence)

    def _embed_known(self, sequence: Sequence, conditions: Conditions) -> Tensor:
        """Embed prefix conditioning and known codes, the input before the first step.

        Returns:
            [branches, S, D].
        """
        known = self._backend.embed(torch.from_numpy(sequence.known_steps))
        prefixes = {
            1: [conditions.prefix],
            2: [conditions.prefix, conditions.unconditional_prefix],
            3: [conditions.prefix, conditions.style_prefix, conditions.unconditional_prefix],
        }[sequence.branches]
        branches = [
            known if prefix is None else torch.cat([prefix.to(known), known]) for prefix in prefixes
        ]
        return torch.stack(branches)

    def _row(self, sequence: Sequence) -> int:
        """Return the first of the sequence's rows in the cache."""
        return self._rows_per_slot * sequence.slot

    def _prefill_chunk(self) -> None:
        sequence = self._scheduler.next_to_prefill()
        if sequence is None:
            return
        prefill = self._prefills[sequence]
        chunk = prefill.chunks.popleft()
        self._backend.prefill(self._row(sequence), prefill.start, chunk)
        prefill.start += chunk.shape[1]
        if not prefill.chunks:
            del self._prefills[sequence]
            self._scheduler.run(sequence)

    def _step_running(self) -> None:
        for sequence, codes, finite in self._stepper.step(self._scheduler.running):
            if not finite:
                self._end(sequence, "failed", _not_finite(sequence))
            elif sequence.advance(codes):
                self._open_window(sequence)

    def _end_holders(self, failure: RuntimeError) -> None:
        """End all requests that have a slot, after the device failed.

        Mostly memory ran out, and then the contents of no slot can be trusted.
        """
        for sequence in list(self._scheduler.holders):
            error = GenerationError(f"the step failed: {failure}; use fewer slots or shorter clips")
            error.__cause__ = failure
            self._end(sequence, "failed", error)

    def _end(self, sequence: Sequence, reason: str, error: ToccataError | None = None) -> None:
        self._prefills.pop(sequence, None)
        self._scheduler.remove(sequence)
        sequence.finish(reason, error)
        if not self._scheduler.running:
            self._stepper.forget()


def _not_finite(sequence: Sequence) -> GenerationError:
    return GenerationError(
        f"the model's logits are not finite after {sequence.ready} frames: the weights are "
        "damaged, or the dtype is too narrow for them; try dtype fp32"
    )
