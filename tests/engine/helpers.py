"""What engine tests share: a request in one line, and running it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from toccata.conditioners.base import Conditions
from toccata.engine.engine import Engine
from toccata.engine.sequence import Codes, Request, Sequence
from toccata.models.model import Model
from toccata.models.sampling_params import SamplingParams

GREEDY = SamplingParams(temperature=0.0)


def request(
    model: Model,
    prompt: str | None = "slow warm piano",
    *,
    frames: int = 12,
    seed: int = 1,
    continued: Codes | None = None,
    stride_frames: int = 30,
    **params: float,
) -> Request:
    conditions = model.conditions(prompt, None)
    return Request(
        conditions=lambda frame: conditions,
        frames=frames,
        params=SamplingParams(**params),  # type: ignore[arg-type]
        seed=seed,
        stride_frames=stride_frames,
        prompt=continued,
    )


def finish(engine: Engine, *sequences: Sequence) -> None:
    while not all(sequence.finished for sequence in sequences):
        engine.step()


def run(engine: Engine, wanted: Request) -> Codes:
    sequence = engine.submit(wanted)
    finish(engine, sequence)
    assert sequence.finish_reason == "done", sequence.error
    return sequence.codes


def fixed(**parts: Tensor | None) -> Request:
    """Greedy, 40 frames, of conditions already projected."""
    return Request(lambda frame: Conditions(**parts), 40, GREEDY, 0, 900)


def random_codes(frames: int, codebooks: int = 4, card: int = 16, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(0, card, (codebooks, frames))


def full_forward(model: Model, sequence_codes: Codes, **conditions: Tensor | None) -> Tensor:
    """The slow reference: logits [K, T, card] of every frame from the uncached forward."""
    from toccata.decoder import delay

    config = model.lm.config
    codes = torch.from_numpy(sequence_codes)[None]
    steps = delay.apply(codes, config.delays, config.special_id)[:, :, :-1]
    return delay.undo_logits(model.lm(steps, **conditions), config.delays)[0]
