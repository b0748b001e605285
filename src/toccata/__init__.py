"""toccata generates music from a description, from audio to continue, or along a melody.

>>> import toccata
>>> model = toccata.load("mini")
>>> model.generate("lo-fi beat, 80 bpm, mellow piano", duration_s=8, seed=1).save("beat.mp3")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from toccata.errors import (
    AudioError,
    CancelledError,
    CheckpointError,
    ClosedError,
    GenerationError,
    InputError,
    InputErrors,
    MissingExtraError,
    ToccataError,
    UnknownModelError,
)

if TYPE_CHECKING:
    from toccata.audio.audio_input import AudioPart
    from toccata.audio.waveform import Waveform
    from toccata.generation.clip import Clip, Progress
    from toccata.generation.handle import Toccata, load
    from toccata.generation.request import EncodeDecodeRequest, GenerationRequest, RequestOptions
    from toccata.models.sampling_params import SamplingParams

__version__ = "0.1.0"

__all__ = [
    "AudioError",
    "AudioPart",
    "CancelledError",
    "CheckpointError",
    "Clip",
    "ClosedError",
    "EncodeDecodeRequest",
    "GenerationError",
    "GenerationRequest",
    "InputError",
    "InputErrors",
    "MissingExtraError",
    "Progress",
    "RequestOptions",
    "SamplingParams",
    "Toccata",
    "ToccataError",
    "UnknownModelError",
    "Waveform",
    "__version__",
    "load",
]

# torch takes seconds to import: nobody who only asks for --help or an error waits for it.
_LOADED_ON_USE = {
    "AudioPart": "toccata.audio.audio_input",
    "Clip": "toccata.generation.clip",
    "EncodeDecodeRequest": "toccata.generation.request",
    "GenerationRequest": "toccata.generation.request",
    "Progress": "toccata.generation.clip",
    "RequestOptions": "toccata.generation.request",
    "SamplingParams": "toccata.models.sampling_params",
    "Toccata": "toccata.generation.handle",
    "Waveform": "toccata.audio.waveform",
    "load": "toccata.generation.handle",
}


def __getattr__(name: str) -> object:
    if name in _LOADED_ON_USE:
        return getattr(import_module(_LOADED_ON_USE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
