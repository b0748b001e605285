"""Threads that share the work of one kernel call.

All threads of a team run the same kernel over the same arguments. Its loops are shared out: each
task goes to whoever asks first, and the loop ends for everyone once all tasks are done. A thread
that comes late, or that the system has put aside between two tasks, holds nobody up: the others do
its part, and it finds nothing left. Hence there is no pool that must be awake, none that spins when
there is nothing to do, and any thread of Python may lead.
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
from toccata.kernels.vectors import call, pointer

I64 = ir.IntType(64)
APART = 8  # numbers of a cache line: what several threads write to lies on lines of its own
PARTS = 4
"""Claims per thread and loop: few enough to read memory in long runs, enough to end together."""


class Team(NamedTuple):
    """turns [loops * 2 * APART]: of each loop, how many tasks are taken, and on a line of its own
    how many are done, and by the processor's clock when the last one was.
    """

    turns: NDArray[np.int64]
    threads: int


Kernel = Callable[..., None]


class _Helpers:
    """Threads that wait for kernels to help with."""

    def __init__(self, count: int) -> None:
        self._jobs: SimpleQueue[tuple[Kernel, tuple[Any, ...]]] = SimpleQueue()
        self._count = count
        for number in range(count):
            Thread(target=self._serve, name=f"kernels-{number + 1}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            kernel, args = self._jobs.get()
            kernel(*args)
            del kernel, args  # nothing is kept alive while it waits

    def ask(self, kernel: Kernel, args: tuple[Any, ...]) -> None:
        for _ in range(self._count):
            self._jobs.put((kernel, args))


@cache
def _helpers(count: int) -> _Helpers:
    return _Helpers(count)


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_helpers.cache_clear)


def run(kernel: Kernel, loops: int, threads: int, *args: Any) -> Team:
    """kernel(team, *args), with `threads` in all; it has at most `loops` shared loops."""
    team = Team(np.zeros(loops * 2 * APART, np.int64), threads)
    if threads > 1:
        _helpers(threads - 1).ask(kernel, (team, *args))
    kernel(team, *args)
    return team


def ends(team: Team) -> NDArray[np.int64]:
    """By the processor's clock, when each loop ended; 0 for one that had no tasks."""
    return team.turns.reshape(-1, 2, APART)[:, 1, 1]


@instruction
def _add(_: Any, turns: Any, at: Any, count: Any) -> Any:
    """Add to turns[at], for all threads at once; what it was before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = pointer(context, builder, signature.args[0], args[0], args[1], I64)
        return builder.atomic_rmw("add", place, args[2], "acq_rel")

    return types.int64(turns, types.intp, types.int64), generate


@instruction
def _read(_: Any, turns: Any, at: Any) -> Any:
    """turns[at], and with it all that was written before it was."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = pointer(context, builder, signature.args[0], args[0], args[1], I64)
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(turns, types.intp), generate


@instruction
def _pause(_: Any) -> Any:
    """A short wait that leaves the core to its other thread."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if get_default_triple().startswith("x86"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return context.get_dummy_value()

    return types.void(), generate


@instruction
def _clock(_: Any) -> Any:
    """The processor's own, in its own unit."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return call(builder, "llvm.readcyclecounter", I64)

    return types.int64(), generate


@compiled
def shared(team: Team, loop: int, count: int) -> Iterator[int]:
    """Tasks 0 .. count - 1 of a kernel's loop of that number, some of them for this thread."""
    taken, done = loop * 2 * APART, (loop * 2 + 1) * APART
    part = max(1, count // (team.threads * PARTS))
    first = _add(team.turns, taken, part)
    while first < count:
        last = min(first + part, count)
        for task in range(first, last):  # noqa: UP028 - numba has no `yield from`
            yield task
        if _add(team.turns, done, last - first) + last - first == count:
            team.turns[done + 1] = _clock()
        first = _add(team.turns, taken, part)
    while _read(team.turns, done) < count:
        _pause()
