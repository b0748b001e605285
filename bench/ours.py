"""toccata, as its users call it."""

from __future__ import annotations

import time

from bench.models import random_model, step_bytes
from bench.shapes import SHAPES
from bench.task import CFG, PROMPT, TOP_K, WARM_UP_S, Measured, StepClock, measured
from toccata.pipeline import Toccata, load


def measure(
    *, precision: str, seconds: float, shape: str | None = None, model: str | None = None
) -> Measured:
    """One generation and the start of one stream, after a short warm-up."""
    toccata = loaded(precision=precision, shape=shape, model=model)
    generate(toccata, WARM_UP_S)
    clock, start = StepClock(), time.perf_counter()
    audio_s = generate(toccata, seconds, clock)
    wall_s = time.perf_counter() - start
    first_audio_s = _first_audio_s(toccata, seconds)
    size = step_bytes(toccata.model.lm.config, precision)
    return measured(clock, audio_s, wall_s, first_audio_s, size)


def loaded(*, precision: str, shape: str | None = None, model: str | None = None) -> Toccata:
    """The model of that name, or one of that shape with random weights."""
    if shape is not None:
        return Toccata(random_model(SHAPES[shape], precision))
    return load(model or "mini", device="cpu", precision=precision, offline=True)


def generate(toccata: Toccata, seconds: float, clock: StepClock | None = None) -> float:
    """Seconds of audio that came out."""
    clip = toccata.generate(
        PROMPT,
        duration_s=seconds,
        seed=1,
        cfg=CFG,
        top_k=TOP_K,
        on_progress=None if clock is None else clock.tick,
    )
    return clip.duration_s


def _first_audio_s(toccata: Toccata, seconds: float) -> float:
    start = time.perf_counter()
    stream = toccata.stream(PROMPT, duration_s=seconds, seed=1, cfg=CFG, top_k=TOP_K)
    next(stream)
    first_audio_s = time.perf_counter() - start
    stream.close()
    return first_audio_s
