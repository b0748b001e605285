"""A recorder without a device, as strict as CUDA is.

What is recorded is done anew at each replay, which would hide every mistake that matters on a GPU:
there, the kernels of the first time run again on the memory of the first time. So each replay is
compared with its recording, operation by operation: the same ones, with the same numbers, reading
and writing the same memory. And nothing may ask for a value while it is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from toccata.backends.cuda_graphs import CudaGraphs
from toccata.backends.graph_capture import WARM_UPS, Fetched, GraphCapture, Work
from toccata.decoder.decoder import Decoder

# Those that wait for the device, or copy to it from the host.
FORBIDDEN = {
    "aten._local_scalar_dense.default",
    "aten.nonzero.default",
    "aten.masked_select.default",
    "aten.lift_fresh.default",
    "aten.is_nonzero.default",
    "aten.repeat_interleave.Tensor",
    "aten._unique2.default",
    "aten.equal.default",
}

Trace = list[tuple[Any, ...]]


class PlainRecorder(GraphCapture):
    """Does the work again. Also says what was asked of it."""

    def __init__(self) -> None:
        self.captured = self.cleared = 0
        self.free = 2**40

    def capture(self, work: Work) -> Work:
        self.captured += 1
        for _ in range(WARM_UPS):
            work()
        return work

    def send(self, values: Tensor, place: Tensor) -> None:
        assert values.shape == place.shape
        assert values.dtype is place.dtype
        place.copy_(values)

    def fetch(self, values: Tensor) -> Fetched:
        then = values.to("cpu", copy=True)
        return lambda: then

    def free_bytes(self) -> int:
        return self.free

    def clear(self) -> None:
        self.cleared += 1


class StrictRecorder(PlainRecorder):
    """Fails where a GPU would do something else."""

    def capture(self, work: Work) -> Work:
        super().capture(work)
        # In CUDA nothing is computed meanwhile: here it is, so the work must bear it once more.
        with _traced() as recorded:
            work()

        def replay() -> None:
            with _traced() as done:
                work()
            for index, (now, then) in enumerate(zip(done, recorded, strict=True)):
                assert now == then, f"operation {index} is {now}, but was captured as {then}"

        return replay


@contextmanager
def _traced() -> Iterator[Trace]:
    mode = _Trace()
    with mode:
        yield mode.trace


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Operations with their arguments: memory from before by its address, new one by its order."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace: Trace = []
        self._made: dict[int, int] = {}
        self._alive: list[Tensor] = []  # so that no address comes twice

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        assert name not in FORBIDDEN, f"{name} cannot be captured"
        arguments, _ = tree_flatten((args, kwargs or {}))
        self._refuse_masks(name, arguments)
        described = tuple(self._described(argument) for argument in arguments)
        out = func(*args, **(kwargs or {}))
        for made in tree_flatten(out)[0]:
            if isinstance(made, Tensor):
                self._keep(made, [a for a in arguments if isinstance(a, Tensor)])
        self.trace.append((name, described))
        return out

    def _refuse_masks(self, name: str, arguments: list[Any]) -> None:
        if name.startswith(("aten.index.", "aten.index_put")):
            masks = [a for a in arguments[1:] if isinstance(a, Tensor) and a.dtype is torch.bool]
            assert not masks, f"{name} by a mask looks at its values"

    def _keep(self, made: Tensor, arguments: list[Tensor]) -> None:
        address = made.untyped_storage().data_ptr()
        if address not in {a.untyped_storage().data_ptr() for a in arguments}:
            self._made[address] = len(self._made)
            self._alive.append(made)

    def _described(self, argument: Any) -> Any:
        if not isinstance(argument, Tensor):
            return argument
        address = argument.untyped_storage().data_ptr()
        place = ("new", self._made[address]) if address in self._made else ("at", address)
        return (*place, argument.storage_offset(), tuple(argument.shape), argument.stride())


def recorded(decoder: Decoder) -> CudaGraphs:
    """The backend for CUDA, on the CPU."""
    return CudaGraphs(decoder, PlainRecorder())


def strictly_recorded(decoder: Decoder) -> CudaGraphs:
    return CudaGraphs(decoder, StrictRecorder())
