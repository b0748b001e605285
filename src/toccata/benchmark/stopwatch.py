"""Time the calls of chosen methods."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Watched = tuple[str, object, str]
"""A stage, a class or module, and the name of its function that belongs to the stage."""


class Stopwatch:
    """Measures the seconds of each stage, without those of stages that it calls.

    Args:
        wait: Returns once the device has finished all operations.

    Attributes:
        spent_s: The seconds of each stage so far.
    """

    def __init__(self, wait: Callable[[], None]) -> None:
        self.spent_s: dict[str, float] = defaultdict(float)
        self._wait = wait
        self._inner_s = [0.0]  # for each running call, the seconds of the calls within it

    @contextmanager
    def watching(self, watched: Sequence[Watched]) -> Iterator[None]:
        """Measure all calls of these functions while the block runs."""
        originals = [(owner, name, getattr(owner, name)) for _, owner, name in watched]
        try:
            for (stage, owner, name), (_, _, function) in zip(watched, originals, strict=True):
                setattr(owner, name, self._timed(stage, function))
            yield
        finally:
            for owner, name, function in originals:
                setattr(owner, name, function)

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            self._inner_s.append(0.0)
            try:
                result = function(*args, **kwargs)
                self._wait()
                return result
            finally:
                took_s = time.perf_counter() - start
                self.spent_s[stage] += took_s - self._inner_s.pop()
                self._inner_s[-1] += took_s

        return timed
