"""Measure the throughput of concurrent requests: `python -m bench.concurrency`.

One batch has 1 to 32 clips of one length; the time includes all stages, as for one clip.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TypedDict

from toccata.benchmark.child import in_child
from toccata.benchmark.ours import loaded
from toccata.benchmark.task import PROMPT, StepClock, rounded
from toccata.generation.handle import Toccata

LEVELS = (1, 2, 4, 8, 16, 32)
CLIP_S = {"mini": 8.0, "small": 2.0}
# Shorter clips in large batches, because many rows of a large model are slow.
CROWD, CROWD_S = 16, 0.5


class Point(TypedDict):
    """The result for one batch size; times_real_time counts the audio of all clips."""

    clips: int
    clip_s: float
    ms_per_step: float
    times_real_time: float


def measure(
    *,
    clips_s: Sequence[tuple[int, float]],
    model: str | None = None,
    shape: str | None = None,
    precision: str = "int8",
) -> list[Point]:
    """Measure each number of clips with its length, in this process."""
    loaded_model = loaded(precision=precision, model=model, shape=shape).model
    return [_point(Toccata(loaded_model, slots=clips), clips, clip_s) for clips, clip_s in clips_s]


def _point(toccata: Toccata, clips: int, clip_s: float) -> Point:
    toccata.generate_batch([{"prompt": PROMPT, "duration_s": 0.2, "seed": 0}] * clips)
    requests = [{"prompt": PROMPT, "duration_s": clip_s, "seed": seed} for seed in range(clips)]
    clock, start = StepClock(), time.perf_counter()
    toccata.generate_batch(requests, on_progress=clock.tick)
    wall_s = time.perf_counter() - start
    return Point(
        clips=clips,
        clip_s=clip_s,
        ms_per_step=rounded(1000 * clock.step_s),
        times_real_time=rounded(clips * clip_s / wall_s),
    )


def both(levels: Sequence[int] = LEVELS, share: float = 1.0) -> dict[str, list[Point]]:
    """Measure `mini` and the shape of small; `share` scales the usual length of clips."""
    mini = [(clips, share * CLIP_S["mini"]) for clips in levels]
    small = [(n, share * (CROWD_S if n >= CROWD else CLIP_S["small"])) for n in levels]
    return {
        "mini": in_child("bench.concurrency:measure", model="mini", clips_s=mini),
        "small": in_child("bench.concurrency:measure", shape="small", clips_s=small),
    }


if __name__ == "__main__":
    print(json.dumps(both(), indent=2))
