"""Capture work on a device as a graph, and replay it with one call.

Captured work takes no arguments. It reads and writes tensors at fixed addresses, creates no tensor
from numbers of Python, and never reads a value on the host: these would happen only once, at
capture, and not at replay.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

Work = Callable[[], None]
Fetched = Callable[[], Tensor]

WARM_UPS = 2
"""The first calls load kernels and let libraries choose algorithms, which cannot be captured."""


class GraphCapture(ABC):
    """Captures graphs, and copies tensors between host and device in the order of the calls.

    Only calling a `Fetched` waits for the device. Graphs share their scratch memory, so that they
    may run one after the other, but not at the same time.
    """

    @abstractmethod
    def capture(self, work: Work) -> Work:
        """Capture `work` and return a function that replays it.

        `work` is first run `WARM_UPS` times, and must allow for that.
        """

    @abstractmethod
    def send(self, values: Tensor, place: Tensor) -> None:
        """Copy `values` from the host to `place` of the same shape, without waiting."""

    @abstractmethod
    def fetch(self, values: Tensor) -> Fetched:
        """Start to copy `values` to the host, and return a function that waits for the copy."""

    @abstractmethod
    def free_bytes(self) -> int:
        """Return how many bytes of the device's memory can be allocated."""

    @abstractmethod
    def clear(self) -> None:
        """Wait for the device, so that graphs may be dropped and their memory is freed."""


class CudaGraphCapture(GraphCapture):
    """CUDA graphs in one pool of memory, replayed in the stream that is current."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # Work is warmed up in the stream of its capture: cuBLAS keeps a workspace per stream.
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
            # thread_local: other threads, such as those that decode audio, may allocate meanwhile.
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
        # With blocking, the waiting thread sleeps instead of polling. The device is a step ahead,
        # so that this costs no time.
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        done.record(torch.cuda.current_stream(self._device))

        def wait() -> Tensor:
            done.synchronize()
            return host

        return wait

    def free_bytes(self) -> int:
        # torch releases memory that it has cached, but does not use, when an allocation needs it.
        kept = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(torch.cuda.mem_get_info(self._device)[0]) + kept

    def clear(self) -> None:
        torch.cuda.synchronize(self._device)
        self._pool = torch.cuda.graph_pool_handle()  # the old one goes with its last graph
