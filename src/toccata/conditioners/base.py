"""The interface of text encoders, and the conditions of one request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from toccata.analysis.key import Key


@runtime_checkable
class TextEncoder(Protocol):
    """Encodes a prompt as text states."""

    def encode(self, prompt: str) -> Tensor:
        """Encode one prompt to [L, cond_dim]; an empty one to zeros."""
        ...


@runtime_checkable
class MusicTextEncoder(Protocol):
    """A text encoder that also predicts tempo, key and tags from a prompt."""

    def likely_bpm(self, prompt: str, uniform: float) -> float | None:
        """Sample a tempo in beats per minute from the distribution predicted for a prompt.

        Args:
            prompt: The prompt.
            uniform: A random number from 0 to 1, at which the cumulative distribution is inverted.

        Returns:
            The tempo; None if the encoder predicts none.
        """
        ...

    def likely_key(self, prompt: str, uniform: float) -> Key | None:
        """Sample a key from the distribution predicted for a prompt, as `likely_bpm` does."""
        ...

    def named(self, prompt: str) -> Mapping[str, Tensor]:
        """Predict the tags that a prompt names.

        Returns:
            For each kind (genre, lead, drums) the probabilities [N] of its N tags; a kind that is
            not named is missing.
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
    """Return whether there is no prompt; its condition is exactly zero, without the bias."""
    return prompt is None or not prompt.strip()
