"""Measure the parts of a step: matrices, attention and the rest."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch.profiler import ProfilerActivity, profile

from toccata.backends.base import Backend
from toccata.benchmark.machine import wait_for
from toccata.benchmark.task import PROMPT
from toccata.models.model import Model

STEPS, FIRST_POSITION = 20, 256
# Parts of the names of operations, by the part of a step; the first match counts.
PARTS = {
    "attention": ("bmm", "softmax", "scaled_dot_product", "flash", "attention", "fmha"),
    "matrices": ("mm", "linear", "gemm", "gemv", "matmul", "cutlass"),
}
REST = "rest"


@torch.inference_mode()
def step_parts(backend: Backend, model: Model) -> dict[str, float]:
    """Measure the parts of a step with guidance, in the middle of a clip.

    The backend measures them itself, or else they are grouped by the names of torch's operations.

    Returns:
        The milliseconds of each part.
    """
    steps = _Steps(backend, model)
    steps.run_ms()
    before = dict(backend.parts_s())
    step_ms = steps.run_ms()
    own = {part: spent_s - before.get(part, 0) for part, spent_s in backend.parts_s().items()}
    if own:
        found = {part: 1000 * spent_s / STEPS for part, spent_s in own.items()}
        return {**found, REST: step_ms - sum(found.values())}
    # The profiler slows every operation down, so only its shares are used.
    return {part: share * step_ms for part, share in _shares(steps, model.device).items()}


class _Steps:
    """Steps of a request with guidance, in the middle of its clip."""

    def __init__(self, backend: Backend, model: Model) -> None:
        self._backend, self._device = backend, model.device
        self._position = FIRST_POSITION
        self._codes = torch.zeros(2, model.lm.config.codebooks, dtype=torch.int64)
        backend.open(0, FIRST_POSITION + 3 * STEPS, [model.conditions(PROMPT).text, None])

    def run_ms(self) -> float:
        """Run some steps, and return the milliseconds of each."""
        start = time.perf_counter()
        for _ in range(STEPS):
            self._backend.step([0, 1], [self._position] * 2, self._codes)
            self._position += 1
        wait_for(self._device)
        return 1000 * (time.perf_counter() - start) / STEPS


def _shares(steps: _Steps, device: torch.device) -> dict[str, float]:
    """Return the share of each part in the time of a step."""
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiled:
        steps.run_ms()
    spent = {
        event.key: event.self_device_time_total if on_gpu else event.self_cpu_time_total
        for event in profiled.key_averages()
    }
    return grouped(spent)


def grouped(spent: Mapping[str, float]) -> dict[str, float]:
    """Convert times by the names of operations to shares by part."""
    total = sum(spent.values()) or 1.0
    shares = dict.fromkeys((*PARTS, REST), 0.0)
    for name, time_spent in spent.items():
        shares[_part(name)] += time_spent / total
    return shares


def _part(name: str) -> str:
    fits = (part for part, pieces in PARTS.items() if any(piece in name for piece in pieces))
    return next(fits, REST)
