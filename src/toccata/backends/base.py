"""The interface of backends: what the engine calls.

A row is one line of a static KV cache. A request owns one row, or with guidance two adjacent
ones (conditioned, null). Order of calls for a row: open, prefill from position 0 on, then one step
per position. What a row computes depends on that row alone: never on which other rows are in the
same call, in what order, or what they held before.

Shapes seen here are static but for the number of rows, so that a backend may capture graphs or
compile one program per number of rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from toccata.backends.graph_capture import GraphCapture
    from toccata.backends.static_attention import Size


class Backend(ABC):
    """Cached execution of one decoder. Not thread-safe: the engine calls it under its lock."""

    prefill_positions = 128
    """How many positions the engine prefills between two steps of those who run: few enough that
    nobody's music falters. Counted from a request's own start, so the same whoever else is there.
    """

    @abstractmethod
    def open(
        self,
        row: int,
        positions: int,
        memories: Sequence[Tensor | None],
        step_conditioning: Sequence[Tensor | None] = (),
    ) -> None:
        """Empty the rows `row`, `row + 1`, ... one per entry of `memories`.

        positions: the largest number the row will hold. A memory [L, D] is what the row
        cross-attends to, its keys and values computed here, once; None adds nothing.
        step_conditioning [S, D], S <= positions, one per row or none at all, are added to its last
        S positions.
        """

    def reserve(self, rows: int, positions: int) -> None:  # noqa: B027 - doing nothing is right
        """Make room now for `rows` of so many positions; otherwise `open` does, as needed.

        On a GPU it raises GenerationError, and changes nothing, if there is too little memory, as
        `open` does.
        """

    @abstractmethod
    def embed(self, codes: Tensor) -> Tensor:
        """codes [K, S] (special id allowed) -> [S, D] float32 on the device, for `prefill`."""

    @abstractmethod
    def prefill(self, row: int, start: int, chunk: Tensor) -> None:
        """Run chunk [R, S, D] float32, from position `start` on, of rows row .. row + R - 1.

        Computes no logits: the last known codes of a request go through `step`.
        """

    @abstractmethod
    def step(self, rows: Sequence[int], positions: Sequence[int], codes: Tensor) -> Tensor:
        """codes [R, K] at `positions` of `rows` (ascending) -> logits [R, K, card] float32."""

    def parts_s(self) -> Mapping[str, float]:
        """Seconds that all steps so far spent in each part (matrices, attention, ...), for a
        backend that counts them; empty for one whose steps are torch's own operations.
        """
        return {}


class GraphCapturable(Backend):
    """A backend whose step can be recorded with all its inputs on the device.

    The engine then samples on the device too, and runs a step ahead of what it knows. Order of
    calls: prepare once; then as for a Backend, with `forward`, inside of what is recorded for a
    `Size`, in place of `step`.
    """

    device: torch.device
    recorder: GraphCapture

    @abstractmethod
    def prepare(self, rows: Sequence[int], batch: int) -> None:
        """Steps will be over the first n rows, n one of `rows` (ascending).

        Each row's results are to have the bits that they have among `batch` of them.
        """

    @abstractmethod
    def room(self, rows: int) -> int:
        """How many positions of `rows` the device has memory for."""

    @property
    @abstractmethod
    def layout(self) -> Hashable:
        """What is recorded is void once this is another: tensors that it reads have moved."""

    @property
    @abstractmethod
    def dummy_slot(self) -> int:
        """The position where rows write that are not to be stepped. Fixed for a `layout`."""

    @property
    @abstractmethod
    def sizes(self) -> Sequence[Size]:
        """All that `size_for` may give, with the room that there is."""

    @abstractmethod
    def size_for(self, rows: int, positions: int) -> Size:
        """The smallest that holds the first `rows`, none of them with more than `positions`."""

    @abstractmethod
    def forward(self, size: Size, codes: Tensor, positions: Tensor) -> Tensor:
        """codes [R, K] at positions [R] of the first R = size.rows rows, int64, on the device ->
        logits [size.batch, K, card] float32, those of the first R rows first.
        """
