"""Capture work on a device as a graph, and replay it with one call.

Recorded work takes no arguments. It reads and writes tensors that stay where they are in memory,
makes none out of Python's numbers, and never looks at a value: all that would be done once, while
it is recorded, and never again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

Work = Callable[[], None]
Fetched = Callable[[], Tensor]

WARM_UPS = 2
"""Kernels are loaded, and libraries make their choice, the first time; that cannot be recorded."""


class GraphCapture(ABC):
    """Everything happens in the order of the calls, those of torch included; only `Fetched` waits.

    One recording's scratch memory is the next one's too: they may follow, but not overlap.
    """

    @abstractmethod
    def capture(self, work: Work) -> Work:
        """`work`, recorded. It is done for real `WARM_UPS` times first, and must bear that."""

    @abstractmethod
    def send(self, values: Tensor, place: Tensor) -> None:
        """Copy `values` from the host to `place` of the same shape, without waiting."""

    @abstractmethod
    def fetch(self, values: Tensor) -> Fetched:
        """Begin to copy `values` to the host; calling the result waits for them."""

    @abstractmethod
    def free_bytes(self) -> int:
        """Memory of the device that could be had."""

    @abstractmethod
    def clear(self) -> None:
        """Wait until all is done: recordings may be dropped now, and their memory is free then."""


class CudaGraphCapture(GraphCapture):
    """CUDA graphs in one pool of memory, replayed in the stream that is current."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # Warmed up where it is captured: cuBLAS keeps its workspace by stream.
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def capture(self, work: Work) -> Work:
        with torch.cuda.device(self._device):
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UPS):
                    work()
            torch.cuda.current_stream().wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            # thread_local: other threads may allocate meanwhile, as those that decode do.
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                work()
        return graph.replay

    def send(self, values: Tensor, place: Tensor) -> None:
        # torch keeps the pinned copy until the device has read it.
        place.copy_(values.pin_memory(), non_blocking=True)

    def fetch(self, values: Tensor) -> Fetched:
        host = values.to("cpu", non_blocking=True, copy=True)  # in pinned memory
        # blocking: whoever waits sleeps. The device is a step ahead, so it does not notice.
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        done.record(torch.cuda.current_stream(self._device))

        def wait() -> Tensor:
            done.synchronize()
            return host

        return wait

    def free_bytes(self) -> int:
        # What torch has set aside and does not use, it gives back when memory is short.
        kept = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(torch.cuda.mem_get_info(self._device)[0]) + kept

    def clear(self) -> None:
        torch.cuda.synchronize(self._device)
        self._pool = torch.cuda.graph_pool_handle()  # the old one goes with its last graph
