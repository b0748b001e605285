"""Memory for decoded audio is shared, and never given twice."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

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
    with budget.reserved("a", 50) as mine:
        mine.shrink(30)
        with budget.reserved("b", 50), budget.reserved("a", 20):
            pass


def test_one_owner_has_half_of_it() -> None:
    budget = MemoryBudget(100)
    with budget.reserved("a", 1000), budget.reserved("b", 40):
        for owner, size in (("a", 1), ("b", 11), ("c", 11)):
            with pytest.raises(MemoryFullError) as caught:
                budget.check(owner, size)
            assert caught.value.size_bytes == size
        with budget.reserved("c", 10):
            pass
