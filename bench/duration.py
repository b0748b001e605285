"""Measure the cost per second of long and short clips: `python -m bench.duration`.

Clips are streamed and not stored, so that the memory is that of toccata.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TypedDict

from toccata.benchmark.child import in_child
from toccata.benchmark.machine import peak_rss_bytes
from toccata.benchmark.ours import generate, loaded
from toccata.benchmark.task import FRAME_RATE_HZ, PROMPT, SEED, WARM_UP_S, rounded

DURATIONS_S = (30.0, 60.0, 120.0, 300.0, 600.0)


class Cost(TypedDict):
    """The result for one clip; steps_per_s is its frames divided by its time, codec included."""

    duration_s: float
    steps_per_s: float
    peak_rss_mb: float


def measure(*, duration_s: float, precision: str = "int8", model: str = "mini") -> Cost:
    """Measure one clip in this process, which should have done nothing else."""
    toccata = loaded(precision=precision, model=model)
    generate(toccata, WARM_UP_S)
    start = time.perf_counter()
    for _ in toccata.stream(PROMPT, duration_s=duration_s, seed=SEED):
        pass
    wall_s = time.perf_counter() - start
    return Cost(
        duration_s=duration_s,
        steps_per_s=rounded(duration_s * FRAME_RATE_HZ / wall_s),
        peak_rss_mb=rounded(peak_rss_bytes() / 1e6),
    )


def all_of(durations_s: Sequence[float] = DURATIONS_S) -> list[Cost]:
    """Measure each duration in a new process."""
    return [in_child("bench.duration:measure", duration_s=one) for one in durations_s]


if __name__ == "__main__":
    print(json.dumps(all_of(), indent=2))
