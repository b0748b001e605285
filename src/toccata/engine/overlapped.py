"""The overlapped stepper: step n + 1 is launched before the codes of step n have come back.

    device   | step 1 | step 2 | step 3 | ...
    host         launch 2, read 1 | launch 3, read 2 | ...

Nothing that a step needs waits for the host: sampled codes stay on the device, and what is known of
a window beforehand lies there since it was opened (step_table.py). So the device never idles
while Python is at work; the host learns everything one step late.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import partial

from toccata.backends.base import GraphCapturable
from toccata.backends.graph_capture import Fetched, Work
from toccata.backends.static_attention import Size
from toccata.decoder.decoder import LMConfig
from toccata.engine.sequence import Sequence
from toccata.engine.slot_table import SlotTable
from toccata.engine.stepper import Outcome, Stepper
from toccata.engine.windows import Window
from toccata.errors import InputError

log = logging.getLogger(__name__)

SLOTS_ALIKE = 8
"""Engines of up to so many slots give a request the same codes."""


@dataclass(eq=False)
class _LoadedSlot:
    """Who is stepped in a slot, and how far its window was launched."""

    sequence: Sequence
    window: Window
    position: int  # of the next input, in its rows
    left: int  # steps to launch


@dataclass(frozen=True, eq=False)
class _Launch:
    """A step under way, and those who were in it."""

    sequences: list[Sequence]
    codes: Fetched  # [slots, K + 1]: codes, then 1 where logits were finite

    def outcomes(self) -> list[Outcome]:
        """Waits for the codes. Who has ended meanwhile wants none."""
        codes = self.codes().numpy()
        here = [one for one in self.sequences if not one.finished]
        return [(one, codes[one.slot, :-1], bool(codes[one.slot, -1])) for one in here]


class OverlappedStepper(Stepper):
    """For backends whose step can be recorded.

    steps: of the longest window. A recording is made for each size of step when it is first
    needed, and kept as long as the backend's tensors stay where they are.
    """

    def __init__(
        self, backend: GraphCapturable, config: LMConfig, slots: int, rows_per_slot: int, steps: int
    ) -> None:
        self._backend, self._recorder = backend, backend.recorder
        self._rows_per_slot = rows_per_slot
        together = max(slots, SLOTS_ALIKE)
        counts = sorted({*(min(2**n, slots) for n in range(slots.bit_length() + 1))})
        backend.prepare([rows_per_slot * n for n in counts], rows_per_slot * together)
        self._table = SlotTable(backend, config, together, rows_per_slot, steps)
        self._recorded: dict[tuple[Size, bool], Work] = {}
        self._layout: Hashable = None
        self._loaded: dict[int, _LoadedSlot] = {}
        self._active: list[int] = []
        self._launched: _Launch | None = None

    def step(self, running: list[Sequence]) -> Iterable[Outcome]:
        before = self._launched
        self._launched = self._launch([self._load(sequence) for sequence in running])
        return () if before is None else before.outcomes()

    def forget(self) -> None:
        self._loaded.clear()
        self._launched = None

    def warm_up(self, slots: int, positions: int) -> None:
        rows = slots * self._rows_per_slot
        fitting = min(positions, self._backend.room(rows))
        if fitting == 0:
            raise InputError("slots", slots, "the device has no memory for so many; use fewer")
        if fitting < positions:
            log.warning(
                "the device holds %d requests of %d steps, not of %d: longer ones will fail; "
                "use fewer slots",
                slots,
                fitting,
                positions,
            )
        self._backend.reserve(rows, fitting)
        for size in self._backend.sizes:
            self._recording(size, nucleus=False)

    def _load(self, sequence: Sequence) -> _LoadedSlot:
        loaded_slot = self._loaded.get(sequence.slot)
        if (
            loaded_slot is None
            or loaded_slot.sequence is not sequence
            or loaded_slot.window is not sequence.window
        ):
            position = sequence.prefix + sequence.step - 1
            left = sequence.steps - sequence.step
            loaded_slot = self._loaded[sequence.slot] = _LoadedSlot(
                sequence, sequence.window, position, left
            )
            self._table.load_slot(sequence)
        return loaded_slot

    def _launch(self, loaded_slots: list[_LoadedSlot]) -> _Launch | None:
        loaded_slots = [loaded_slot for loaded_slot in loaded_slots if loaded_slot.left]
        if not loaded_slots:
            return None
        slots = [loaded_slot.sequence.slot for loaded_slot in loaded_slots]
        # First: a new recording is warmed up, which is harmless only while nobody is active.
        recording = self._recording(self._size(loaded_slots), self._nucleus(loaded_slots))
        self._activate(slots)
        recording()
        for loaded_slot in loaded_slots:
            loaded_slot.position, loaded_slot.left = loaded_slot.position + 1, loaded_slot.left - 1
        return _Launch(
            [loaded_slot.sequence for loaded_slot in loaded_slots],
            self._recorder.fetch(self._table.codes),
        )

    def _activate(self, slots: list[int]) -> None:
        if slots != self._active:
            self._table.activate(slots)
            self._active = slots

    def _size(self, loaded_slots: list[_LoadedSlot]) -> Size:
        rows = self._rows_per_slot * (loaded_slots[-1].sequence.slot + 1)
        return self._backend.size_for(
            rows, max(loaded_slot.position for loaded_slot in loaded_slots) + 1
        )

    def _nucleus(self, loaded_slots: list[_LoadedSlot]) -> bool:
        """Whether anybody samples with top_p: it takes a sort, which others are spared."""
        return any(loaded_slot.sequence.request.params.top_p > 0 for loaded_slot in loaded_slots)

    def _recording(self, size: Size, nucleus: bool) -> Work:
        if self._backend.layout != self._layout:
            self._recorder.clear()
            self._recorded.clear()
            self._layout = self._backend.layout
        if (size, nucleus) not in self._recorded:
            start = time.perf_counter()
            self._activate([])
            work = partial(self._table.step, size, nucleus)
            self._recorded[size, nucleus] = self._recorder.capture(work)
            log.info("recorded %s in %.2f s", size, time.perf_counter() - start)
        return self._recorded[size, nucleus]
