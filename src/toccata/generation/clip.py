"""What a request yields: how far it is, and the clip that it ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toccata.audio.waveform import Waveform


@dataclass(frozen=True, eq=False)
class Clip(Waveform):
    """A finished piece of music, with what is needed to make it again."""

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


@dataclass(frozen=True)
class Progress:
    """How far one request is, in codec frames of new audio."""

    done_frames: int
    total_frames: int
