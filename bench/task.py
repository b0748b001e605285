"""What every system is asked for, and how its steps are timed."""

from __future__ import annotations

import statistics
import time
from typing import TypedDict

PROMPT = "slow warm piano with soft strings and a quiet round bass, calm"
PROMPT_TOKENS = len(PROMPT.replace(",", " ,").split())
CFG = 3.0
TOP_K = 250
WARM_UP_S = 0.5
FRAME_RATE_HZ = 50


class Measured(TypedDict):
    """Of one run in one process.

    ms_per_step: LM and sampling, the median of all steps. times_real_time: seconds of audio made
    per second, from the prompt to the samples. gb_per_s: weights read per step, over its time.
    first_audio_s: until the first samples are there. peak_rss_mb: of the process, weights and all.
    """

    ms_per_step: float
    times_real_time: float
    gb_per_s: float
    first_audio_s: float
    peak_rss_mb: float


class StepClock:
    """Notes when each step ended. The median of the gaps leaves out what happens between steps."""

    def __init__(self) -> None:
        self._ends: list[float] = []

    def tick(self, *_: object) -> None:
        self._ends.append(time.perf_counter())

    @property
    def steps(self) -> int:
        return len(self._ends)

    @property
    def step_s(self) -> float:
        gaps = [b - a for a, b in zip(self._ends, self._ends[1:], strict=False)]
        return statistics.median(gaps)


def measured(
    clock: StepClock, audio_s: float, wall_s: float, first_audio_s: float, step_bytes: int
) -> Measured:
    """The figures of a run that has just ended in this process."""
    from bench.machine import peak_rss_bytes

    return Measured(
        ms_per_step=1000 * clock.step_s,
        times_real_time=audio_s / wall_s,
        gb_per_s=step_bytes / clock.step_s / 1e9,
        first_audio_s=first_audio_s,
        peak_rss_mb=peak_rss_bytes() / 1e6,
    )
