"""Rate limits of failed logins: an address that fails too often waits, the rest is slowed.

A login counts from its begin, so that many at once are no way around it; a right one is taken back.
However many fail from other addresses, no one is refused for it: logins only take longer then.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress

WINDOW_S = 60.0
MAX_FAILURES_PER_ADDRESS = 10
# Of all addresses; with more, logins take longer, and with twice as many the longest.
MAX_FAILURES = 200
MAX_DELAY_S = 5.0
MAX_ADDRESSES = 10_000


class LoginLimit:
    """Counts failed logins of the last WINDOW_S seconds. now: a monotonic clock."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._all: deque[float] = deque(maxlen=2 * MAX_FAILURES)
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """For how many seconds `address` has to wait before its next try; 0: not at all."""
        mine = self._by_address.get(address, deque())
        self._drop_old(mine)
        if len(mine) < MAX_FAILURES_PER_ADDRESS:
            return 0
        return math.ceil(mine[-MAX_FAILURES_PER_ADDRESS] + WINDOW_S - self._now())

    def delay_s(self) -> float:
        """How much longer each login takes now, from 0 to MAX_DELAY_S seconds."""
        self._drop_old(self._all)
        return MAX_DELAY_S * max(0, len(self._all) - MAX_FAILURES) / MAX_FAILURES

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

    def _drop_old(self, failures: deque[float]) -> None:
        begin_s = self._now() - WINDOW_S
        while failures and failures[0] <= begin_s:
            failures.popleft()
