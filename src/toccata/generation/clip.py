"""The classes of a finished clip and of progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from toccata.audio.waveform import Waveform


@dataclass(frozen=True, eq=False)
class Clip(Waveform):
    """A finished piece of music, with the parameters that reproduce it.

    Attributes:
        samples: [C, N] float32 at the model's rate, full scale at +-1.
        sample_rate_hz: Samples per second and channel.
        seed: The seed with which it was sampled.
        model: The name of the model.
        prompt: The prompt; "" without one.
        parameters: All other parameters by name, as text.
    """

    seed: int = 0
    model: str = ""
    prompt: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def tags(self) -> Mapping[str, str]:
        """The parameters that reproduce the clip."""
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
        """Return a player above the prompt, the model and the seed, for notebooks."""
        caption = f"{self.prompt or 'no prompt'} ({self.model}, seed {self.seed})"
        return f"<figure>{super()._repr_html_()}<figcaption>{escape(caption)}</figcaption></figure>"


@dataclass(frozen=True)
class Progress:
    """The progress of a request.

    Attributes:
        done_frames: The number of new codec frames that are generated.
        total_frames: The number of new codec frames in all.
    """

    done_frames: int
    total_frames: int
