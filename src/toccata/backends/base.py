"""The interface of backends, which the engine calls.

A request owns one row of a static KV cache for each CFG branch: with guidance two adjacent rows,
conditional and unconditional, and with double guidance of text and style three. The calls for a row
are, in this order: open, prefill from position 0 on, then one step per position. The result of a
row depends on that row alone, never on which other rows are in the same call, on their order, or on
what they contained before.

All shapes but the number of rows are static, so that a backend may capture graphs or compile one
program per number of rows.
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
    """How many positions the engine prefills between two steps of the running requests.

    It is small enough that streams of running requests do not stall. Chunks are counted from the
    start of each request, so that they are the same in any batch.
    """

    @abstractmethod
    def open(
        self,
        row: int,
        positions: int,
        memories: Sequence[Tensor | None],
        step_conditioning: Sequence[Tensor | None] = (),
    ) -> None:
        """Reset the rows row, row + 1, ..., one per entry of `memories`.

        Args:
            row: The first row.
            positions: The largest number of positions that the rows will hold.
            memories: For each row the text states [L, D] that it cross-attends to, whose keys and
                values are computed here; None for a row without text.
            step_conditioning: For each row embeddings [S, D], S <= positions, that are added to its
                last S positions, or None; empty if no row has any.

        Raises:
            GenerationError: If the device has too little memory.
        """

    def reserve(self, rows: int, positions: int) -> None:  # noqa: B027 - doing nothing is right
        """Allocate memory for `rows` of so many positions, so that `open` need not.

        Raises:
            GenerationError: If a GPU has too little memory; nothing has changed then.
        """

    @abstractmethod
    def embed(self, codes: Tensor) -> Tensor:
        """Embed codes for `prefill`.

        Args:
            codes: [K, S] int64, which may contain the special code.

        Returns:
            [S, D] float32 on the device.
        """

    @abstractmethod
    def prefill(self, row: int, start: int, chunk: Tensor) -> None:
        """Run the layers over known positions, without logits.

        The last known codes of a request are not prefilled: they go through `step`.

        Args:
            row: The first row.
            start: The first position.
            chunk: [R, S, D] float32, for rows row .. row + R - 1.
        """

    @abstractmethod
    def step(self, rows: Sequence[int], positions: Sequence[int], codes: Tensor) -> Tensor:
        """Compute one position of each row.

        Args:
            rows: R rows, ascending.
            positions: The position of each row.
            codes: [R, K] int64.

        Returns:
            Logits [R, K, card] float32.
        """

    def parts_s(self) -> Mapping[str, float]:
        """Return the seconds that all steps so far spent in each part (matrices, attention, ...).

        Empty for a backend that does not measure them.
        """
        return {}


class GraphCapturable(Backend):
    """A backend whose step can be captured as a graph, with all its inputs on the device.

    The engine then also samples on the device, and launches a step before the codes of the last one
    are read. `prepare` is called first; after that the calls are those of `Backend`, except that a
    graph captured for a `Size` calls `forward` in place of `step`.
    """

    device: torch.device
    graph_capture: GraphCapture

    @abstractmethod
    def prepare(self, rows: Sequence[int], batch: int) -> None:
        """Choose the batch shapes in which a row gets the same bits.

        Args:
            rows: Numbers of rows, ascending, for which steps will be computed.
            batch: The number of rows whose bits the others must match.
        """

    @abstractmethod
    def max_positions(self, rows: int) -> int:
        """Return how many positions of `rows` rows fit into the memory of the device."""

    @property
    @abstractmethod
    def layout(self) -> Hashable:
        """Where tensors are in memory: captured graphs are invalid once this has changed."""

    @property
    @abstractmethod
    def dummy_slot(self) -> int:
        """The position where rows write that are not active, fixed for a `layout`."""

    @property
    @abstractmethod
    def sizes(self) -> Sequence[Size]:
        """All sizes that `size_for` can return with the memory that is allocated."""

    @abstractmethod
    def size_for(self, rows: int, positions: int) -> Size:
        """Return the smallest size for the first `rows`, each with at most `positions`."""

    @abstractmethod
    def forward(self, size: Size, codes: Tensor, positions: Tensor) -> Tensor:
        """Compute one position of each of the first R = size.rows rows, on the device.

        Args:
            size: The shape of the step.
            codes: [R, K] int64.
            positions: [R] int64.

        Returns:
            Logits [size.batch, K, card] float32, those of the R rows first.
        """
