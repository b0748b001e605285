"""The measurement of toccata, by its public interface."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from toccata.benchmark.machine import peak_bytes
from toccata.benchmark.random_model import random_model, step_bytes, weights_bytes
from toccata.benchmark.shapes import shape_of
from toccata.benchmark.task import CFG, PROMPT, SEED, TOP_K, WARM_UP_S, Measured, StepClock
from toccata.devices import pick_device, pick_precision
from toccata.generation.handle import Toccata, load


def measure(
    *,
    seconds: float,
    precision: str | None = None,
    shape: str | None = None,
    model: str | None = None,
    device: str | None = None,
) -> Measured:
    """Measure one file and the start of one stream, after a short warm-up."""
    selected_device = pick_device(device)
    name = pick_precision(selected_device, precision).name
    toccata = loaded(precision=name, shape=shape, model=model, device=str(selected_device))
    generate(toccata, WARM_UP_S)
    clock, start = StepClock(), time.perf_counter()
    audio_s = generate(toccata, seconds, clock)
    wall_s = time.perf_counter() - start
    return Measured(
        precision=name,
        device=str(selected_device),
        ms_per_step=1000 * clock.step_s,
        times_real_time=audio_s / wall_s,
        gb_per_s=step_bytes(toccata.model.lm.config, name) / clock.step_s / 1e9,
        first_audio_s=_first_audio_s(toccata, seconds),
        peak_rss_mb=peak_bytes(selected_device) / 1e6,
        weights_mb=weights_bytes(toccata.model) / 1e6,
    )


def loaded(
    *,
    precision: str,
    shape: str | None = None,
    model: str | None = None,
    device: str = "cpu",
    slots: int = 8,
) -> Toccata:
    """Load a model by name, or create one of a shape with random weights."""
    if shape is not None:
        return Toccata(random_model(shape_of(shape), precision, device), slots)
    return load(model or "mini", device=device, precision=precision, slots=slots, offline=True)


def generate(toccata: Toccata, seconds: float, clock: StepClock | None = None) -> float:
    """Write a clip to a temporary file, and return its length in seconds."""
    clip = toccata.generate(
        PROMPT,
        duration_s=seconds,
        seed=SEED,
        cfg=CFG,
        top_k=TOP_K,
        on_progress=None if clock is None else clock.tick,
    )
    with tempfile.TemporaryDirectory() as folder:
        clip.save(Path(folder) / "clip.wav")
    return clip.duration_s


def _first_audio_s(toccata: Toccata, seconds: float) -> float:
    start = time.perf_counter()
    stream = toccata.stream(PROMPT, duration_s=seconds, seed=SEED, cfg=CFG, top_k=TOP_K)
    next(stream)
    first_audio_s = time.perf_counter() - start
    stream.close()
    return first_audio_s
