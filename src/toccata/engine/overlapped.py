"""The overlapped stepper: step n + 1 is launched before the codes of step n are read.

    device   | step 1 | step 2 | step 3 | ...
    host         launch 2, read 1 | launch 3, read 2 | ...

A step needs nothing from the host: sampled codes stay on the device, and known codes and random
numbers of a window are copied there when it is opened (slot_table.py). The device is therefore
never idle while Python runs, and the host reads the results of a step one step late.
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

MIN_SAMPLED_SLOTS = 8
"""Codes are sampled for at least so many slots, so that engines of up to this size agree."""


@dataclass(eq=False)
class _LoadedSlot:
    """The request in a slot, and how many steps of its window were launched."""

    sequence: Sequence
    window: Window
    position: int  # of the next input, in the slot's rows
    left: int  # steps that are not launched yet


@dataclass(frozen=True, eq=False)
class _Launch:
    """A step that was launched, and the requests in it."""

    sequences: list[Sequence]
    codes: Fetched  # [slots, K + 1]: codes, then 1 where logits were finite

    def outcomes(self) -> list[Outcome]:
        """Wait for the codes and return those of requests that have not ended meanwhile."""
        codes = self.codes().numpy()
        unfinished = [one for one in self.sequences if not one.finished]
        return [(one, codes[one.slot, :-1], bool(codes[one.slot, -1])) for one in unfinished]


class OverlappedStepper(Stepper):
    """Replays captured graphs, and launches each step before the codes of the last one are read.

    The graph for a size of step is captured when it is first needed, and kept as long as the
    backend's tensors stay where they are.

    Args:
        backend: A backend whose step can be captured as a graph.
        config: The shape of the language model.
        slots: How many requests run at once.
        rows_per_slot: How many rows of the cache a slot owns, one per CFG branch.
        steps: The number of steps in the longest window.
    """

    def __init__(
        self, backend: GraphCapturable, config: LMConfig, slots: int, rows_per_slot: int, steps: int
    ) -> None:
        self._backend, self._capture = backend, backend.graph_capture
        self._rows_per_slot = rows_per_slot
        together = max(slots, MIN_SAMPLED_SLOTS)
        counts = sorted({*(min(2**n, slots) for n in range(slots.bit_length() + 1))})
        backend.prepare([rows_per_slot * n for n in counts], rows_per_slot * together)
        self._table = SlotTable(backend, config, together, rows_per_slot, steps)
        self._graphs: dict[tuple[Size, bool], Work] = {}
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
        fitting = min(positions, self._backend.max_positions(rows))
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
            self._graph(size, nucleus=False)

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
        # Before slots are activated: capture runs the step to warm up, which must change no slot.
        replay = self._graph(self._size(loaded_slots), self._nucleus(loaded_slots))
        self._activate(slots)
        replay()
        for loaded_slot in loaded_slots:
            loaded_slot.position, loaded_slot.left = loaded_slot.position + 1, loaded_slot.left - 1
        return _Launch(
            [loaded_slot.sequence for loaded_slot in loaded_slots],
            self._capture.fetch(self._table.codes),
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
        """Return whether any request samples with top_p, which needs a slow sort."""
        return any(loaded_slot.sequence.request.params.top_p > 0 for loaded_slot in loaded_slots)

    def _graph(self, size: Size, nucleus: bool) -> Work:
        """Return the graph of a step, captured if it is new or the backend's tensors have moved."""
        if self._backend.layout != self._layout:
            self._capture.clear()
            self._graphs.clear()
            self._layout = self._backend.layout
        if (size, nucleus) not in self._graphs:
            start = time.perf_counter()
            self._activate([])
            work = partial(self._table.step, size, nucleus)
            self._graphs[size, nucleus] = self._capture.capture(work)
            log.info("captured %s in %.2f s", size, time.perf_counter() - start)
        return self._graphs[size, nucleus]
