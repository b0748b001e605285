"""What a text encoder offers, and what one request is conditioned on before the LM sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from toccata.analysis.key import Key


@runtime_checkable
class TextEncoder(Protocol):
    """Turns one prompt into vectors."""

    def encode(self, prompt: str) -> Tensor:
        """One prompt, as it would be alone -> [L, cond_dim]; an empty one -> zeros."""
        ...


@runtime_checkable
class KnowsMusic(Protocol):
    """A text encoder that knows what goes with words."""

    def likely_bpm(self, prompt: str, uniform: float) -> float | None:
        """Of all tempi that go with `prompt`, slow to fast, the one at `uniform` (0 to 1)."""
        ...

    def likely_key(self, prompt: str, uniform: float) -> Key | None:
        """Of all keys that go with `prompt`, the one at `uniform` (0 to 1)."""
        ...

    def named(self, prompt: str) -> Mapping[str, Tensor]:
        """By kind (genre, lead), how likely each of what is known is the one that is named [N].

        A kind of which nothing is named is left out.
        """
        ...


@dataclass(frozen=True, eq=False)
class Conditions:
    """One request's conditions in the LM's width; rows are unbatched.

    text [L, D]: cross-attended by the conditioned half; zeros for a missing prompt. The null half
        attends to zeros, which adds nothing: its cross block is skipped. None in the prefix kind.
    prefix [P, D]: chroma rows, then text rows, before the conditioned half's codes. None in the
        cross-attention kind.
    null_prefix [P, D]: what stands there, as long, in the null half.
    style_prefix [P, D]: the same with the style alone, for guidance that tells text and style
        apart. None unless there are both.
    step_sums [S, D]: added to the codes of the conditioned half, step by step. None if the model
        adds no condition, or there is none to add.
    null_step_sums [S, D]: added in the null half; None adds nothing.
    """

    text: Tensor | None = None
    prefix: Tensor | None = None
    null_prefix: Tensor | None = None
    style_prefix: Tensor | None = None
    step_sums: Tensor | None = None
    null_step_sums: Tensor | None = None


def is_blank(prompt: str | None) -> bool:
    """No prompt at all: its condition is exactly zero, the projection's bias included."""
    return prompt is None or not prompt.strip()
