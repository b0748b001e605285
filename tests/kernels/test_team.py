"""Each task of a shared loop is done once, whoever is late or gone."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from toccata.kernels import thread_team
from toccata.kernels.compiling import entry
from toccata.kernels.thread_team import ThreadTeam, shared

LOOPS = 3
Counts = NDArray[np.int64]


@entry
def count_tasks(crew: ThreadTeam, done: Counts, wrong: Counts) -> None:
    """done [LOOPS, N]: each loop sees what the loop before it has done, all of it."""
    for loop in range(LOOPS):
        for task in shared(crew, loop, done.shape[1]):
            done[loop, task] += 1
            if loop > 0 and done[loop - 1].sum() != done.shape[1]:
                wrong[0] += 1


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("tasks", [0, 1, 7, 1000])
def test_every_task_is_done_once_and_loops_follow_each_other(threads: int, tasks: int) -> None:
    done, wrong = np.zeros((LOOPS, tasks), np.int64), np.zeros(1, np.int64)
    thread_team.run(count_tasks, LOOPS, threads, done, wrong)
    assert (done == 1).all()
    assert not wrong.any()


def test_helpers_that_never_come_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_team._Helpers, "start", lambda *_: None)
    test_every_task_is_done_once_and_loops_follow_each_other(4, 100)


def test_one_that_comes_late_finds_nothing_left() -> None:
    done, wrong = np.zeros((LOOPS, 50), np.int64), np.zeros(1, np.int64)
    counters = np.zeros((LOOPS, 2, thread_team.CACHE_LINE), np.int64)
    crew = ThreadTeam(counters.ctypes.data, 2)
    count_tasks(crew, done, wrong)
    late = threading.Thread(target=count_tasks, args=(crew, done, wrong))
    late.start()
    late.join()
    assert (done == 1).all()


def test_many_may_lead_at_the_same_time() -> None:
    with ThreadPoolExecutor(6) as pool:
        for future in [
            pool.submit(test_every_task_is_done_once_and_loops_follow_each_other, 2, 300)
            for _ in range(60)
        ]:
            future.result()


def test_helpers_keep_up() -> None:
    """None is lost in a kernel that it came late to, and what it was given is let go."""
    for _ in range(300):
        test_every_task_is_done_once_and_loops_follow_each_other(2, 5)
    helpers = thread_team._helpers(1)
    until = time.monotonic() + 30
    while not helpers._jobs.empty() and time.monotonic() < until:
        time.sleep(0.01)
    assert helpers._jobs.empty()


def test_nothing_is_kept_of_what_was_given() -> None:
    done, wrong = np.zeros((LOOPS, 20), np.int64), np.zeros(1, np.int64)
    inputs = weakref.ref(done), weakref.ref(thread_team.run(count_tasks, LOOPS, 1, done, wrong))
    del done
    gc.collect()
    assert [kept() for kept in inputs] == [None, None]
