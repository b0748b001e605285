"""A thread team that shares the work of a kernel call.

All threads of a team run the same kernel over the same arguments. Its loops are shared out: each
task goes to whoever asks first, and the loop ends for everyone once all tasks are done. A thread
that comes late, or that the system has put aside between two tasks, holds nobody up: the others do
its part, and it finds nothing left. Hence there is no pool that must be awake, none that spins when
there is nothing to do, and any thread of Python may lead.

One that comes late may run a kernel after everybody else is done with it. It then has no task, but
it counts them, so what a loop's number of tasks follows from must never change: sizes, not
contents.
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
APART = 8  # numbers of a cache line: what several threads write to lies on lines of its own
PARTS = 4
"""Claims per thread and loop: few enough to read memory in long runs, enough to end together."""


class ThreadTeam(NamedTuple):
    """turns: where the [loops, 2, APART] numbers lie that say how far each loop is: how many tasks
    are taken, and on a line of its own how many are done, and by the processor's clock when the
    last one was. An address, because numba never lets go of an array that a generator was given.
    """

    turns: int
    threads: int


Kernel = Callable[..., None]
Turns = NDArray[np.int64]


class _Helpers:
    """Threads that wait for kernels to help with."""

    def __init__(self, count: int) -> None:
        self._jobs: SimpleQueue[tuple[Kernel, tuple[Any, ...], Turns]] = SimpleQueue()
        self._count = count
        for number in range(count):
            Thread(target=self._serve, name=f"kernels-{number + 1}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            kernel, args, turns = self._jobs.get()
            kernel(*args)
            del kernel, args, turns  # nothing is kept alive while it waits

    def ask(self, kernel: Kernel, args: tuple[Any, ...], turns: Turns) -> None:
        """turns: what has to outlive the kernel."""
        for _ in range(self._count):
            self._jobs.put((kernel, args, turns))


@cache
def _helpers(count: int) -> _Helpers:
    return _Helpers(count)


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_helpers.cache_clear)


def run(kernel: Kernel, loops: int, threads: int, *args: Any) -> Turns:
    """kernel(team, *args), with `threads` in all; it has at most `loops` shared loops."""
    turns = np.zeros((loops, 2, APART), np.int64)
    team = ThreadTeam(turns.ctypes.data, threads)
    if threads > 1:
        _helpers(threads - 1).ask(kernel, (team, *args), turns)
    kernel(team, *args)
    return turns


def ends(turns: Turns) -> NDArray[np.int64]:
    """By the processor's clock, when each loop ended; 0 for one that had no tasks."""
    return turns[:, 1, 1]


def _place(builder: Any, turns: Any, at: Any) -> Any:
    """Number `at` from the address `turns` on."""
    return builder.gep(builder.inttoptr(turns, I64.as_pointer()), [at])


@instruction
def _add(_: Any, turns: Any, at: Any, count: Any) -> Any:
    """Add to number `at`, for all threads at once; what it was before."""

    def emit(builder: Any, turns: Any, at: Any, count: Any) -> Any:
        return builder.atomic_rmw("add", _place(builder, turns, at), count, "acq_rel")

    return types.int64(types.int64, types.int64, types.int64), plain(emit)


@instruction
def _read(_: Any, turns: Any, at: Any) -> Any:
    """Number `at`, and with it all that was written before it was."""

    def emit(builder: Any, turns: Any, at: Any) -> Any:
        return builder.load_atomic(_place(builder, turns, at), "acquire", 8)

    return types.int64(types.int64, types.int64), plain(emit)


@instruction
def _note(_: Any, turns: Any, at: Any) -> Any:
    """Number `at` becomes what the processor's clock says, in its own unit."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        now = call(builder, "llvm.readcyclecounter", I64)
        builder.store(now, _place(builder, *args))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@instruction
def _pause(_: Any) -> Any:
    """A short wait that leaves the core to its other thread."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if get_default_triple().startswith("x86"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return context.get_dummy_value()

    return types.void(), generate


@compiled
def shared(team: ThreadTeam, loop: int, count: int) -> Iterator[int]:
    """Tasks 0 .. count - 1 of a kernel's loop of that number, some of them for this thread."""
    taken, done = loop * 2 * APART, (loop * 2 + 1) * APART
    part = max(1, count // (team.threads * PARTS))
    first = _add(team.turns, taken, part)
    while first < count:
        last = min(first + part, count)
        for task in range(first, last):  # noqa: UP028 - numba has no `yield from`
            yield task
        if _add(team.turns, done, last - first) + last - first == count:
            _note(team.turns, done + 1)
        first = _add(team.turns, taken, part)
    while _read(team.turns, done) < count:
        _pause()
