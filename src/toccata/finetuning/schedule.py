"""The progress of a run, by steps or by time, and its learning rate."""

from __future__ import annotations

import math

from toccata.finetuning.options import FinetuneOptions


def share_done(options: FinetuneOptions, step: int, elapsed_s: float) -> float:
    """0 at the start, 1 or more at the end, of settled options."""
    by_steps = step / options.steps if options.steps else 0.0
    by_clock = elapsed_s / (60 * options.minutes) if options.minutes else 0.0
    return max(by_steps, by_clock)


def rate(options: FinetuneOptions, step: int, done: float) -> float:
    """Linear warm-up, then a cosine down to `lr_end` of the learning rate."""
    warm = min(1.0, (step + 1) / max(options.warmup_steps, 1))
    cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return options.lr * warm * (options.lr_end + (1 - options.lr_end) * cosine)
