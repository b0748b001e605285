"""Measure the effects of quantisation on the distributions of codes: `python -m bench.quality`.

The model generates music in fp32. For each of its steps, the distribution of the next code in
another precision is compared with that in fp32.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.benchmark.random_model import random_model
from toccata.benchmark.shapes import SHAPES
from toccata.decoder import delay
from toccata.generation.handle import Toccata, load
from toccata.models.model import Model

PROMPTS = ("lo-fi beat, 80 bpm, mellow piano", "solo guitar, calm, no drums, 100 bpm")
SECONDS, SHAPE_SECONDS = 8.0, 2.0
PRECISIONS = ("fp32", "bf16", "int8", "int4")


def models(subject: str) -> Iterator[tuple[str, Model]]:
    """Yield a model with the same weights in every precision, fp32 first."""
    for precision in PRECISIONS:
        make = _drawn if subject in SHAPES else _loaded
        yield precision, make(subject, precision)


def _loaded(name: str, precision: str) -> Model:
    return load(name, device="cpu", precision=precision, offline=True).model


def _drawn(shape: str, precision: str) -> Model:
    torch.manual_seed(0)
    if precision != "bf16":
        return random_model(SHAPES[shape], precision)
    # The weights are rounded from those in fp32, because random bfloat16 numbers would differ.
    model = random_model(SHAPES[shape], "fp32")
    return replace(model, lm=model.lm.to(torch.bfloat16), dtype=torch.bfloat16)


def steps_of(model: Model, prompt: str, seconds: float) -> Tensor:
    """Generate music, and return its delayed codes [1, K, S]."""
    clip = Toccata(model, 1).generate(prompt, duration_s=seconds, seed=1)
    codes = model.codec.encode(torch.from_numpy(clip.samples)[None])
    return delay.apply(codes, model.lm.config.delays, model.lm.config.special_id)


@torch.inference_mode()
def logits_of(model: Model, prompt: str, steps: Tensor) -> Tensor:
    """Return the logits [K, S, card] of a teacher-forced forward without guidance."""
    conditions = model.conditions(prompt, beats=model.beats(prompt, 0.5))
    added = conditions.step_conditioning
    added = None if added is None else added[None, : steps.shape[2]]
    prefix = None if conditions.prefix is None else conditions.prefix[None]
    memory = None if conditions.text is None else conditions.text[None]
    logits: Tensor = model.lm(steps, prefix=prefix, memory=memory, step_conditioning=added)[0]
    return logits


def compared(logits: Tensor, full: Tensor) -> dict[str, float]:
    """Return the mean KL divergence from fp32 in nats, and how often the top code is the same."""
    kl = F.kl_div(logits.log_softmax(-1), full.log_softmax(-1), log_target=True, reduction="none")
    same = logits.argmax(-1) == full.argmax(-1)
    return {
        "kl_nats": round(float(kl.sum(-1).mean()), 5),
        "greedy_agreement": round(float(same.float().mean()), 4),
    }


def measure(subject: str, seconds: float) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    steps: list[Tensor] = []
    full: list[Tensor] = []
    for precision, model in models(subject):
        if precision == "fp32":
            steps = [steps_of(model, prompt, seconds) for prompt in PROMPTS]
            full = [logits_of(model, *one) for one in zip(PROMPTS, steps, strict=True)]
            continue
        logits = [logits_of(model, *one) for one in zip(PROMPTS, steps, strict=True)]
        found[precision] = compared(torch.cat(logits, 1), torch.cat(full, 1))
    return found


def main() -> None:
    figures = {"mini": measure("mini", SECONDS), "small": measure("small", SHAPE_SECONDS)}
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
