"""Measure the effects of requests on each other: `python -m bench.fairness`.

One result is the time of an 8 s clip beside one of 5 minutes; the other is how long a running
stream waits while a long continuation of another request is prefilled.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import TypedDict

import numpy as np

from toccata.benchmark.child import in_child
from toccata.benchmark.ours import loaded
from toccata.benchmark.task import FRAME_RATE_HZ, PROMPT, rounded
from toccata.engine.engine import Engine
from toccata.engine.sequence import Request
from toccata.models.model import Model
from toccata.models.sampling_params import SamplingParams

CLIP_S, LONG_S, CLIPS = 8.0, 300.0, 3
KNOWN_S, SETTLED_STEPS = 20.0, 30


class Latency(TypedDict):
    """The median seconds of a clip alone and beside a long one."""

    clip_s: float
    long_s: float
    alone_s: float
    beside_long_s: float


class Gap(TypedDict):
    """The ms between two steps of a running stream; `chunk` positions are prefilled at once."""

    known_s: float
    chunk: int
    usual_ms: float
    longest_ms: float


def latency(
    *, clip_s: float = CLIP_S, clips: int = CLIPS, precision: str = "int8", model: str = "mini"
) -> Latency:
    """Measure the latency in this process; the waiting thread also runs the long clip's steps."""
    toccata = loaded(precision=precision, model=model)

    def median_s() -> float:
        def one(seed: int) -> float:
            return _timed_s(lambda: toccata.generate(PROMPT, duration_s=clip_s, seed=seed))

        return rounded(statistics.median(one(seed) for seed in range(clips)))

    alone_s = median_s()
    long = toccata.stream(PROMPT, duration_s=LONG_S, seed=0)
    next(long)
    beside_s = median_s()
    long.close()
    return Latency(clip_s=clip_s, long_s=LONG_S, alone_s=alone_s, beside_long_s=beside_s)


def gap(*, known_s: float = KNOWN_S, precision: str = "int8", shape: str = "small") -> Gap:
    """Measure the gap in this process; the continued codes are random, without the codec."""
    model = loaded(precision=precision, shape=shape).model
    engine = Engine(model, slots=2)
    engine.warm_up()  # as in a server
    engine.submit(_request(model, frames=1200))
    alone_ms = [1000 * _timed_s(engine.step) for _ in range(SETTLED_STEPS)]
    other = engine.submit(_request(model, frames=50, known=round(known_s * FRAME_RATE_HZ)))
    beside_ms = []
    while other.ready == 0:
        beside_ms.append(1000 * _timed_s(engine.step))
    return Gap(
        known_s=known_s,
        chunk=engine.backend.prefill_positions,
        usual_ms=rounded(statistics.median(alone_ms)),
        longest_ms=rounded(max(beside_ms)),
    )


def _request(model: Model, *, frames: int, known: int = 0) -> Request:
    conditions, config = model.conditions(PROMPT), model.lm.config
    codes = np.random.default_rng(0).integers(0, config.card, (config.codebooks, known))
    return Request(lambda _: conditions, frames, SamplingParams(), 0, 900, codes)


def _timed_s(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def both(clip_s: float = CLIP_S, known_s: float = KNOWN_S) -> dict[str, Latency | Gap]:
    """Measure latency and gap, each in a new process."""
    return {
        "latency": in_child("bench.fairness:latency", clip_s=clip_s),
        "gap": in_child("bench.fairness:gap", known_s=known_s),
    }


if __name__ == "__main__":
    print(json.dumps(both(), indent=2))
