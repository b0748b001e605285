"""Memory for decoded audio is shared, and never given twice."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from toccata.errors import CancelledError
from toccata.server.worker.memory_budget import MemoryBudget


def test_jobs_wait_for_memory_and_never_hold_more_than_there_is() -> None:
    budget, lock = MemoryBudget(100), threading.Lock()
    held = most = 0

    def job(size: int) -> int:
        nonlocal held, most
        with budget.reserved(size, lambda: False) as mine:
            with lock:
                held += mine.size_bytes
                most = max(most, held)
            time.sleep(0.001)
            with lock:
                held -= mine.size_bytes
        return size

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(job, [60, 30, 10, 100, 1, 250] * 10)) == 4510
    assert 0 < most <= 100


def test_what_is_not_needed_is_given_back_at_once() -> None:
    budget = MemoryBudget(100)
    with budget.reserved(100, lambda: False) as mine:
        mine.shrink(30)
        with budget.reserved(70, lambda: pytest.fail("it waits")):
            pass


def test_a_job_that_waits_can_be_canceled() -> None:
    budget = MemoryBudget(100)
    with (
        budget.reserved(100, lambda: False),
        pytest.raises(CancelledError),
        budget.reserved(1, lambda: True),
    ):
        pass
