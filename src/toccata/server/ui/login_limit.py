"""Rate limits of failed logins, for each address and in all.

A login counts from its begin, so that many at once are no way around it; a right one is taken back.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress

WINDOW_S = 60.0
MAX_FAILURES_PER_ADDRESS = 10
MAX_FAILURES = 200
MAX_ADDRESSES = 10_000


class LoginLimit:
    """Counts failed logins of the last WINDOW_S seconds. now: a monotonic clock."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._all: deque[float] = deque()
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """For how many seconds `address` has to wait before its next try; 0: not at all."""
        mine = self._by_address.get(address, deque())
        waits = (
            self._left_s(mine, MAX_FAILURES_PER_ADDRESS),
            self._left_s(self._all, MAX_FAILURES),
        )
        return math.ceil(max(waits))

    def begin(self, address: str) -> float:
        """Note a login, wrong until `succeeded` says otherwise. Returns its name for that."""
        begun_s = self._now()
        mine = self._by_address.setdefault(address, deque())
        self._by_address.move_to_end(address)
        while len(self._by_address) > MAX_ADDRESSES:
            self._by_address.popitem(last=False)
        for logins in (mine, self._all):
            logins.append(begun_s)
        return begun_s

    def succeeded(self, address: str, begun_s: float) -> None:
        """Take the login back that `begin` noted."""
        for logins in (self._by_address.get(address, deque()), self._all):
            with suppress(ValueError):  # the window has passed
                logins.remove(begun_s)

    def _left_s(self, failures: deque[float], limit: int) -> float:
        begin_s = self._now() - WINDOW_S
        while failures and failures[0] <= begin_s:
            failures.popleft()
        return failures[-limit] - begin_s if len(failures) >= limit else 0.0
