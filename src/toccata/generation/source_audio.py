"""Read the part of an input audio that a request uses.

For a melody, it is the part of the file that the windows of the clip can follow; a style model
needs all of it to find its middle. Audio to continue, or to encode and decode, is used whole.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from toccata.audio import audio_input
from toccata.audio.audio_input import MAX_RATE_HZ, MAX_VALUES, AudioInput, AudioPart, part_of
from toccata.audio.source import Source
from toccata.audio.waveform import Waveform
from toccata.errors import InputError
from toccata.generation.request import GenerationRequest, ModelRequest
from toccata.generation.schema import MELODY_MODELS

log = logging.getLogger(__name__)

MIN_S = 0.1
# A little more than the part of a melody that a window of any published model follows.
MELODY_WINDOW_S = 31.0
SILENT = "the audio is silent: there is nothing in it to follow or to continue"
_SILENCE = 1e-5  # -100 dBFS

Warn = Callable[[str], None]


def read_audio(audio: AudioInput, field: str, *, reach_s: float | None = None) -> Waveform:
    """Read and check an audio input.

    Args:
        audio: As in `audio_input.read_audio`.
        field: The name of the parameter, for errors.
        reach_s: The seconds that are used of a file, or of its part; None for all.

    Raises:
        AudioError: If a file cannot be read.
        InputError: If the input is invalid.
    """
    if not isinstance(audio, str | os.PathLike | AudioPart):
        return audio_input.read_audio(field, audio)
    audio_input.check_audio(field, audio)
    part = part_of(audio).up_to(reach_s)
    audio_input.check_local(field, part.file)
    return read_part(part, field)


def read_prompt(audio: AudioInput, field: str, *, reach_s: float | None = None) -> Waveform:
    """Read audio that a model follows or continues; a warning is logged for silence.

    Raises:
        AudioError: If a file cannot be read.
        InputError: If the input is invalid or too short.
    """
    prompt = read_audio(audio, field, reach_s=reach_s)
    check_long_enough(prompt, field)
    if is_silent(prompt):
        log.warning("%s: %s", field, SILENT)
    return prompt


def part_in_use(request: ModelRequest, model: str) -> AudioPart | None:
    """Return the part of its audio file that a request uses; None if it has no file.

    Args:
        request: The request.
        model: The name of the model that generates the music.
    """
    if not isinstance(request.audio, str | os.PathLike | AudioPart):
        return None
    part = part_of(request.audio)
    if isinstance(request, GenerationRequest) and request.melody and model in MELODY_MODELS:
        return part.up_to(request.duration_s + MELODY_WINDOW_S)
    return part


def read_part(
    part: AudioPart,
    field: str,
    *,
    shown: str | None = None,
    source: Source | None = None,
    warn: Warn = log.warning,
    max_values: int = MAX_VALUES,
) -> Waveform:
    """Decode a part of an audio file.

    Args:
        part: The part.
        field: The name of the parameter, for errors about its times.
        shown: The name of the file in messages; None for its path.
        source: Decoded in place of the file.
        warn: Called with a warning if the header of the file is wrong.
        max_values: The most samples over all channels.

    Raises:
        AudioError: If the file cannot be read; TooMuchError if it has more than `max_values`.
        InputError: If the part starts after the end of the file.
    """
    from toccata.audio.files import PartError, read

    try:
        return read(
            Path(part.file) if source is None else source,
            start_s=part.start_s,
            end_s=part.end_s,
            max_values=max_values,
            max_rate_hz=MAX_RATE_HZ,
            warn=warn,
            name=shown,
        )
    except PartError as error:
        detail = f"{field} lasts {error.duration_s:.2f} s: start before its end"
        raise InputError("start_s", part.start_s, detail) from error


def declared_values(part: AudioPart) -> int | None:
    """Return the number of samples of a part by the headers of its file.

    Returns:
        The number over all channels; None if no header has the length.

    Raises:
        AudioError: If the file cannot be opened as audio.
    """
    from toccata.audio.files import declared_values as declared

    return declared(
        Path(part.file), start_s=part.start_s, end_s=part.end_s, max_rate_hz=MAX_RATE_HZ
    )


def check_long_enough(audio: Waveform, field: str) -> None:
    """Raise InputError for audio shorter than MIN_S."""
    if audio.duration_s < MIN_S:
        found = f"{audio.samples.shape[1]} samples ({audio.duration_s:.3g} s)"
        raise InputError(field, found, f"give audio of at least {MIN_S:g} s")


def is_silent(audio: Waveform) -> bool:
    """Return whether audio is constant; a DC offset alone is silence too."""
    return all(float(row.max() - row.min()) < _SILENCE for row in audio.samples)
