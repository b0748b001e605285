"""The task of all systems, and the clock for its steps."""

from __future__ import annotations

import statistics
import time
from typing import TypedDict

PROMPT = "slow warm piano with soft strings and a quiet round bass, calm"
PROMPT_TOKENS = len(PROMPT.replace(",", " ,").split())
CFG = 3.0
TOP_K = 250
SEED = 1
WARM_UP_S = 0.5
FRAME_RATE_HZ = 50


class Measured(TypedDict):
    """The measurements of one run in one process; MB and GB are 10^6 and 10^9 bytes.

    Attributes:
        precision: The precision of the LM.
        device: The device.
        ms_per_step: The time of LM and sampling, the median of all steps.
        times_real_time: Seconds of audio per second, from the prompt to the written file.
        gb_per_s: The weights that a step reads, divided by its time.
        first_audio_s: The time until the first samples.
        peak_rss_mb: The peak memory of the process; on a GPU, of the GPU's memory.
        weights_mb: The size of the weights.
    """

    precision: str
    device: str
    ms_per_step: float
    times_real_time: float
    gb_per_s: float
    first_audio_s: float
    peak_rss_mb: float
    weights_mb: float


class Profile(TypedDict):
    """The milliseconds of one clip by stage, and of one LM step by part.

    `rest` is the time of no stage or part.
    """

    clip: dict[str, float]
    step: dict[str, float]


class StepClock:
    """Records the end of each step; the median interval is not affected by rare other work."""

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


def rounded(value: float) -> float:
    """Round to four digits, because further ones are noise."""
    return float(f"{value:.4g}")
