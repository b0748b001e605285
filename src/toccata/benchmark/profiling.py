"""Measure the time of each stage of the pipeline and of each part of a step."""

from __future__ import annotations

import time
from functools import partial

from toccata.backends.base import Backend
from toccata.benchmark.machine import wait_for
from toccata.benchmark.ours import generate, loaded
from toccata.benchmark.step_parts import step_parts
from toccata.benchmark.stopwatch import Stopwatch, Watched
from toccata.benchmark.task import WARM_UP_S, Profile, rounded
from toccata.codecs.encodec import EncodecStream
from toccata.devices import pick_device, pick_precision
from toccata.engine.batch import Batch
from toccata.engine.engine import Engine
from toccata.generation import pipeline
from toccata.generation.clip import Clip
from toccata.models.model import Model


def measure(
    *,
    seconds: float,
    precision: str | None = None,
    shape: str | None = None,
    model: str | None = None,
    device: str | None = None,
) -> Profile:
    """Time the stages of one clip, then the parts of some steps."""
    selected_device = pick_device(device)
    name = pick_precision(selected_device, precision).name
    toccata = loaded(precision=name, shape=shape, model=model, device=str(selected_device))
    generate(toccata, WARM_UP_S)
    backend = Engine(toccata.model, 1).backend
    watch, start = Stopwatch(partial(wait_for, selected_device)), time.perf_counter()
    with watch.watching(_stages(type(backend))):
        generate(toccata, seconds)
    whole_s = time.perf_counter() - start
    clip = {**watch.spent_s, "rest": whole_s - sum(watch.spent_s.values())}
    return Profile(
        clip={stage: rounded(1000 * spent_s) for stage, spent_s in clip.items()},
        step={part: rounded(ms) for part, ms in step_parts(backend, toccata.model).items()},
    )


def _stages(backend: type[Backend]) -> list[Watched]:
    return [
        ("text encoder", Model, "conditions"),
        ("prefill", backend, "open"),
        ("prefill", backend, "embed"),
        ("prefill", backend, "prefill"),
        ("LM steps", backend, "step"),
        ("guidance, sampling", Batch, "choose"),
        ("codec", EncodecStream, "push"),
        ("codec", EncodecStream, "finish"),
        ("level", pipeline, "level"),
        ("file", Clip, "save"),
    ]
