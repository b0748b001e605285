"""A thread team that shares the work of a kernel call.

All threads of a team run the same kernel with the same arguments. Its loops are parallel: a thread
claims the next tasks by a counter, and the loop ends for all threads once all tasks are done. A
thread that starts late, or that the system suspends between two tasks, does not delay the others:
they do its share of the tasks. The pool of threads therefore need not be awake when a call begins,
does not spin between calls, and any thread of Python may start a kernel.

A late thread may run a kernel after all others have finished it. It gets no task, but it computes
the number of tasks of each loop, so that this number must depend on sizes that never change, not on
the contents of arrays.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_default_triple
from numba import types
from numpy.typing import NDArray

from toccata.kernels.compiling import compiled, instruction
from toccata.kernels.vectors import call, plain

I64 = ir.IntType(64)
CACHE_LINE = 8  # numbers in a cache line: counters that threads write are on separate lines
PARTS = 4
"""Claims per thread and loop: few, to read long contiguous parts, but enough to balance the load.
"""


class ThreadTeam(NamedTuple):
    """The threads of a kernel call and their work counters.

    Attributes:
        counters: The address of the counters [loops, 2, CACHE_LINE] int64. For each loop they have
            the number of claimed tasks, and on another cache line the number of finished tasks and
            the time of the last one by the processor's clock. It is an address, because numba never
            releases an array that is passed to a generator.
        threads: The number of threads.
    """

    counters: int
    threads: int


Kernel = Callable[..., None]
Counters = NDArray[np.int64]


class _Helpers:
    """A pool of threads that wait for kernel calls."""

    def __init__(self, count: int) -> None:
        self._jobs: SimpleQueue[tuple[Kernel, tuple[Any, ...], Counters]] = SimpleQueue()
        self._count = count
        for number in range(count):
            Thread(target=self._serve, name=f"kernels-{number + 1}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            kernel, args, counters = self._jobs.get()
            kernel(*args)
            del kernel, args, counters  # so that a waiting thread keeps no array alive

    def start(self, kernel: Kernel, args: tuple[Any, ...], counters: Counters) -> None:
        """Run a kernel in all threads; `counters` stay alive until the last one has finished."""
        for _ in range(self._count):
            self._jobs.put((kernel, args, counters))


@cache
def _helpers(count: int) -> _Helpers:
    return _Helpers(count)


if hasattr(os, "register_at_fork"):  # a forked process does not have its parent's threads
    os.register_at_fork(after_in_child=_helpers.cache_clear)


def run(kernel: Kernel, loops: int, threads: int, *args: Any) -> Counters:
    """Call kernel(team, *args) in several threads.

    Args:
        kernel: The kernel.
        loops: The most parallel loops that it has.
        threads: The number of threads, including the calling one.
        args: The arguments after the team.

    Returns:
        The work counters, for `ends`.
    """
    counters = np.zeros((loops, 2, CACHE_LINE), np.int64)
    team = ThreadTeam(counters.ctypes.data, threads)
    if threads > 1:
        _helpers(threads - 1).start(kernel, (team, *args), counters)
    kernel(team, *args)
    return counters


def ends(counters: Counters) -> NDArray[np.int64]:
    """Return when each loop ended by the processor's clock; 0 for a loop without tasks."""
    return counters[:, 1, 1]


def _place(builder: Any, counters: Any, at: Any) -> Any:
    """Return the pointer to number `at` from the address `counters` on."""
    return builder.gep(builder.inttoptr(counters, I64.as_pointer()), [at])


@instruction
def _add(_: Any, counters: Any, at: Any, count: Any) -> Any:
    """Add to number `at` atomically, and return its value before."""

    def emit(builder: Any, counters: Any, at: Any, count: Any) -> Any:
        return builder.atomic_rmw("add", _place(builder, counters, at), count, "acq_rel")

    return types.int64(types.int64, types.int64, types.int64), plain(emit)


@instruction
def _read(_: Any, counters: Any, at: Any) -> Any:
    """Read number `at` atomically, so that all that was written before it is visible too."""

    def emit(builder: Any, counters: Any, at: Any) -> Any:
        return builder.load_atomic(_place(builder, counters, at), "acquire", 8)

    return types.int64(types.int64, types.int64), plain(emit)


@instruction
def _note(_: Any, counters: Any, at: Any) -> Any:
    """Set number `at` to the processor's clock, in ticks."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        now = call(builder, "llvm.readcyclecounter", I64)
        builder.store(now, _place(builder, *args))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@instruction
def _pause(_: Any) -> Any:
    """Wait for a moment, in which the core can run its other hardware thread."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if get_default_triple().startswith("x86"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return context.get_dummy_value()

    return types.void(), generate


@compiled
def shared(team: ThreadTeam, loop: int, count: int) -> Iterator[int]:
    """Yield this thread's share of the tasks 0 .. count - 1 of a kernel's parallel loop."""
    claimed, done = loop * 2 * CACHE_LINE, (loop * 2 + 1) * CACHE_LINE
    part = max(1, count // (team.threads * PARTS))
    first = _add(team.counters, claimed, part)
    while first < count:
        last = min(first + part, count)
        for task in range(first, last):  # noqa: UP028 - numba has no `yield from`
            yield task
        if _add(team.counters, done, last - first) + last - first == count:
            _note(team.counters, done + 1)
        first = _add(team.counters, claimed, part)
    while _read(team.counters, done) < count:
        _pause()
