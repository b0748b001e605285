"""The nouns that cross borders between parts. No torch here: the command line imports this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Waveform:
    """Audio in memory: `samples` [C, N] float32, full scale at +-1."""

    samples: NDArray[np.float32]
    sample_rate_hz: int

    @property
    def channels(self) -> int:
        return int(self.samples.shape[0])

    @property
    def duration_s(self) -> float:
        return float(self.samples.shape[1] / self.sample_rate_hz)


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


@dataclass(frozen=True, eq=False)
class Clip(Waveform):
    """A finished piece of music, with what is needed to make it again."""

    seed: int = 0
    model: str = ""
    prompt: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: str | Path, **options: object) -> Path:
        """Write to `path`; the suffix names the format (wav, mp3, flac, ogg).

        `options` are those of `toccata.audio.files.write`: bit_depth, bitrate_kbps.
        Raises AudioError for a suffix that is not an audio format.
        """
        from toccata.audio.files import save_clip

        return save_clip(self, Path(path), **options)  # type: ignore[arg-type]

    @property
    def tags(self) -> dict[str, str]:
        """What is written into the file beside the audio."""
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
