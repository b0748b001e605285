"""Learning rates: how they rise in the first steps and fall until the end of a run."""

from __future__ import annotations

import math

from toccata.finetuning.options import FinetuneOptions


def warm_up(step: int, steps: int) -> float:
    """The factor of a linear warm-up at step number `step`: 1 from the last of `steps` on."""
    return min(1.0, (step + 1) / max(steps, 1))


def cosine(done: float, start: float, end: float) -> float:
    """The rate on half a cosine from `start` to `end`, when a share `done` of it is over."""
    done = min(max(done, 0.0), 1.0)
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * done))


def rate(options: FinetuneOptions, step: int, done: float) -> float:
    """The learning rate of a step of fine-tuning.

    Args:
        options: Resolved options.
        step: How many steps there were before.
        done: The share of the run that is over, as `share_done` has it.
    """
    return options.lr * warm_up(step, options.warmup_steps) * cosine(done, 1.0, options.lr_end)


def share_done(options: FinetuneOptions, step: int, elapsed_s: float) -> float:
    """The share of a run with resolved options that is over: from 0, and 1 or more at the end."""
    by_steps = step / options.steps if options.steps else 0.0
    by_clock = elapsed_s / (60 * options.minutes) if options.minutes else 0.0
    return max(by_steps, by_clock)
