"""How codes are drawn from logits: temperature, top-k, top-p and guidance."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingParams:
    """How a code is drawn from its logits (the semantics are in engine/sampling.py).

    temperature 0 is argmax; top_p > 0 is nucleus sampling, otherwise top_k applies (0: no limit);
    cfg is the classifier-free guidance coefficient, and 1 switches guidance off. cfg_beta is how
    much more the text counts than the style, where a model is given both (style).
    """

    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 0.0
    cfg: float = 3.0
    cfg_beta: float = 1.0
