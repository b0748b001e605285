"""The sampling parameters of a request: temperature, top-k, top-p and guidance."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingParams:
    """The parameters with which codes are sampled; engine/sampling.py has the algorithm.

    Attributes:
        temperature: The sampling temperature; 0 takes the most likely code.
        top_k: Sample from the k most likely codes; 0 for all. Ignored if top_p is above 0.
        top_p: Sample from the most likely codes with this total probability; 0 for all.
        cfg: The guidance scale; 1 disables guidance.
        cfg_beta: The guidance scale of text against style, for a request with both.
    """

    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 0.0
    cfg: float = 3.0
    cfg_beta: float = 1.0
