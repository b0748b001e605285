"""Measure the growth of a process's memory: `python -m bench.memory`.

Requests of different lengths, parameters and kinds are repeated in cycles. The warm-up has whole
cycles, after which all memory that they need is allocated.
"""

from __future__ import annotations

import argparse
import gc
import json
from typing import Any, TypedDict

import numpy as np

from toccata.audio.waveform import Waveform
from toccata.benchmark.machine import rss_bytes
from toccata.benchmark.ours import loaded
from toccata.generation.handle import Toccata

GENERATIONS, WARM_UP = 100, 10
CASES: tuple[dict[str, Any], ...] = (
    {"duration_s": 2.0},
    {"duration_s": 1.0, "cfg": 1.0, "temperature": 0.0},
    {"duration_s": 3.0, "top_p": 0.9},
    {"duration_s": 1.5, "top_k": 20, "normalization": "peak"},
    {"duration_s": 1.0, "continue_from": True},
)


class Growth(TypedDict):
    """The RSS in MB (10^6 bytes), and its growth after the warm-up in percent."""

    generations: int
    after_warm_up_mb: float
    at_end_mb: float
    growth_percent: float


def measure(
    *, model: str | None = None, shape: str | None = None, generations: int = GENERATIONS
) -> Growth:
    """Measure the growth in this process, which should have done nothing else."""
    toccata = loaded(precision="fp32", model=model, shape=shape)
    audio = _noise(toccata)
    sizes = []
    for number in range(generations):
        _generate(toccata, number, audio)
        gc.collect()  # uncollected garbage is not a leak
        sizes.append(rss_bytes() / 1e6)
    before, after = sizes[min(WARM_UP, generations) - 1], sizes[-1]
    return Growth(
        generations=generations,
        after_warm_up_mb=before,
        at_end_mb=after,
        growth_percent=100 * (after - before) / before,
    )


def _generate(toccata: Toccata, number: int, audio: Waveform) -> None:
    """Generate a clip with a new prompt and seed; every second cycle is streamed."""
    cycle, place = divmod(number, len(CASES))
    options = {**CASES[place], "seed": number, "prompt": f"piece number {number} with drums"}
    if "continue_from" in options:
        options["continue_from"] = audio
        if toccata.model.chroma is not None:
            options["melody"] = audio
    if cycle % 2:
        for _ in toccata.stream(**{**options, "normalization": "clip"}):
            pass
    else:
        toccata.generate(**options)


def _noise(toccata: Toccata) -> Waveform:
    """Return one second of noise, for continuation and melody."""
    rate = toccata.model.codec.sample_rate_hz
    samples = 0.1 * np.random.default_rng(1).standard_normal((toccata.model.codec.channels, rate))
    return Waveform(samples.astype(np.float32), rate)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--model", help="name of a model; default: mini")
    parser.add_argument("--shape", help="use random weights of this shape instead of a model")
    parser.add_argument("--generations", type=int, default=GENERATIONS)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
