"""Memory for decoded audio is shared, and never given twice."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from toccata.server.worker.memory_budget import MemoryBudget, MemoryFullError


def test_jobs_never_hold_more_than_there_is() -> None:
    budget, lock = MemoryBudget(100), threading.Lock()
    held = most = postponed = 0

    def job(number: int) -> None:
        nonlocal held, most, postponed
        try:
            with budget.reserved(f"owner {number % 3}", 10 * (number % 6)) as mine:
                with lock:
                    held += mine.size_bytes
                    most = max(most, held)
                time.sleep(0.001)
                with lock:
                    held -= mine.size_bytes
        except MemoryFullError:
            with lock:
                postponed += 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(job, range(200)))
    assert 0 < most <= 100
    assert postponed < 200
    with budget.reserved("a", 50), budget.reserved("b", 50):
        pass  # all was given back


def test_what_is_not_needed_is_given_back_at_once() -> None:
    budget = MemoryBudget(100)
    with budget.reserved("a", 33) as mine:
        mine.shrink(10)
        with budget.reserved("b", 33), budget.reserved("a", 20):
            pass


def test_an_owner_has_no_more_than_it_leaves_to_others() -> None:
    budget = MemoryBudget(100)
    with budget.reserved("a", 1000), budget.reserved("b", 33):
        for owner, size in (("a", 1), ("b", 1), ("c", 18)):
            with pytest.raises(MemoryFullError) as caught:
                budget.check(owner, size)
            assert caught.value.size_bytes == size
        with budget.reserved("c", 17):
            pass


def test_a_few_owners_do_not_take_all_of_it() -> None:
    """A long continuation keeps its audio for hours."""
    budget = MemoryBudget(1000)
    with ExitStack() as held:
        for number in range(3):
            for size in (1000, 300, 100, 10, 1):
                with suppress(MemoryFullError):
                    while True:
                        held.enter_context(budget.reserved(f"greedy {number}", size))
        budget.check("other", 50)
