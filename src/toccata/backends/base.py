"""What the engine asks of whatever runs the decoder.

A row is one line of a static KV cache. A request owns one row, or with guidance two adjacent
ones (conditioned, null). Order of calls for a row: open, prefill from position 0 on, then one step
per position. What a row computes depends on that row alone: never on which other rows are in the
same call, in what order, or what they held before.

Shapes seen here are static but for the number of rows, so that a backend may capture graphs or
compile one program per number of rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor


class Backend(ABC):
    """Cached execution of one decoder. Not thread-safe: the engine calls it under its lock."""

    @abstractmethod
    def open(
        self,
        row: int,
        positions: int,
        memories: Sequence[Tensor | None],
        step_sums: Sequence[Tensor | None] = (),
    ) -> None:
        """Empty the rows `row`, `row + 1`, ... one per entry of `memories`.

        positions: the largest number the row will hold. A memory [L, D] is what the row
        cross-attends to, its keys and values computed here, once; None adds nothing. step_sums
        [S, D], S <= positions, one per row or none at all, are added to its last S positions.
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
