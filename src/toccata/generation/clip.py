"""Clips, and the progress towards them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from toccata.audio.waveform import Waveform


@dataclass(frozen=True, eq=False)
class Clip(Waveform):
    """A finished piece of music, with what is needed to make it again.

    Attributes:
        samples: [C, N] float32 at the model's rate, full scale at +-1.
        sample_rate_hz: Samples per second and channel.
        seed: The seed that it was drawn with.
        model: The name of the model.
        prompt: The description; "" without one.
        parameters: Every other setting by name, as text.
    """

    seed: int = 0
    model: str = ""
    prompt: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def tags(self) -> Mapping[str, str]:
        """How to make the clip again."""
        return {
            "prompt": self.prompt,
            "seed": str(self.seed),
            "model": self.model,
            **self.parameters,
        }

    def __repr__(self) -> str:
        return (
            f"Clip({self.prompt!r}, {self.duration_s:.2f} s, {self.channels} x "
            f"{self.sample_rate_hz} Hz, model={self.model!r}, seed={self.seed})"
        )

    def _repr_html_(self) -> str:
        """A player above the prompt, the model and the seed."""
        caption = f"{self.prompt or 'no prompt'} ({self.model}, seed {self.seed})"
        return f"<figure>{super()._repr_html_()}<figcaption>{escape(caption)}</figcaption></figure>"


@dataclass(frozen=True)
class Progress:
    """How far a request is.

    Attributes:
        done_frames: Codec frames of new audio that are known.
        total_frames: Codec frames of new audio in all.
    """

    done_frames: int
    total_frames: int
