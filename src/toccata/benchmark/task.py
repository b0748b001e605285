"""The task that every system gets, and how its steps are timed."""

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
    """Of one run in one process.

    ms_per_step: LM and sampling, the median of all steps. times_real_time: seconds of audio made
    per second, from the prompt to the written file. gb_per_s: weights read per step, over its
    time. first_audio_s: until the first samples are there. peak_rss_mb: of the process while it
    loads and generates; on a GPU, of the GPU's memory. weights_mb: of the weights in it.
    MB and GB are 10^6 and 10^9 bytes.
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
    """Where the time of one clip goes, in ms: by stage of all of it, by part of one LM step.

    What no stage or part has is `rest`.
    """

    clip: dict[str, float]
    step: dict[str, float]


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


def rounded(value: float) -> float:
    """To four digits: the others are noise."""
    return float(f"{value:.4g}")
