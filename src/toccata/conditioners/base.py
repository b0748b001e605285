"""The interface of text encoders, and the conditions of one request."""

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
class MusicTextEncoder(Protocol):
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
    """The conditions of one request in the width of the language model; rows are unbatched.

    Attributes:
        text: What the conditional branch cross-attends to [L, D]; zeros for a missing prompt. The
            unconditional branch attends to zeros, which adds nothing: its cross-attention is
            skipped. None for models that take conditions as a prefix.
        prefix: Chroma rows, then text rows, before the codes of the conditional branch [P, D].
            None for models that cross-attend.
        unconditional_prefix: The rows in its place in the unconditional branch [P, D].
        style_prefix: The rows of the style branch [P, D], with the style alone. None unless the
            request has both text and style.
        step_conditioning: Added to the embedded codes of the conditional branch, step by step
            [S, D]. None if the model adds no condition, or there is none to add.
        unconditional_step_conditioning: The same for the unconditional branch; None adds nothing.
    """

    text: Tensor | None = None
    prefix: Tensor | None = None
    unconditional_prefix: Tensor | None = None
    style_prefix: Tensor | None = None
    step_conditioning: Tensor | None = None
    unconditional_step_conditioning: Tensor | None = None


def is_blank(prompt: str | None) -> bool:
    """No prompt at all: its condition is exactly zero, the projection's bias included."""
    return prompt is None or not prompt.strip()
