"""Read the audio of a request, as far as the request uses it.

Of a melody in a file, that is what the windows of the clip can reach; a style model takes the
middle of all of it. Audio to continue, or to encode and decode, is used whole.
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
# What the window of any published model reaches of a melody, and a little more.
MELODY_WINDOW_S = 31.0
SILENT = "the audio is silent: there is nothing in it to follow or to continue"
_SILENCE = 1e-5  # -100 dBFS

Warn = Callable[[str], None]


def read_audio(audio: AudioInput, field: str, *, reach_s: float | None = None) -> Waveform:
    """Return `audio` as a Waveform.

    Args:
        audio: As `audio_input.read_audio` takes it.
        field: The name of the parameter that holds it, for errors.
        reach_s: The seconds that are used of a file, or of its part; None: all.

    Raises:
        AudioError: A file cannot be read.
        InputError: It is no audio.
    """
    if not isinstance(audio, str | os.PathLike | AudioPart):
        return audio_input.read_audio(field, audio)
    audio_input.check_audio(field, audio)
    part = part_of(audio).up_to(reach_s)
    audio_input.check_local(field, part.file)
    return read_part(part, field)


def read_prompt(audio: AudioInput, field: str, *, reach_s: float | None = None) -> Waveform:
    """Read audio that a model follows or continues, as `read_audio`; warn if it is silent.

    Raises:
        AudioError: A file cannot be read.
        InputError: It is no audio, or too short.
    """
    prompt = read_audio(audio, field, reach_s=reach_s)
    check_long_enough(prompt, field)
    if is_silent(prompt):
        log.warning("%s: %s", field, SILENT)
    return prompt


def part_in_use(request: ModelRequest, model: str) -> AudioPart | None:
    """The part of its audio file that a request uses; None where it has no file.

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
        field: The name of the parameter that holds it, for errors about its times.
        shown: The name of the file in messages; None: its path.
        source: What is decoded in place of the file; None: the file.
        warn: Takes a sentence about a file that was read although its header is wrong.
        max_values: The number of samples allowed, over all channels.

    Raises:
        AudioError: The file cannot be read; TooMuchError for more than `max_values`.
        InputError: The part starts after the end of the file.
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
    """The number of samples of a part, if the headers of its file are right; None: not declared.

    Raises:
        AudioError: The file cannot be opened as audio.
    """
    from toccata.audio.files import declared_values as declared

    return declared(
        Path(part.file), start_s=part.start_s, end_s=part.end_s, max_rate_hz=MAX_RATE_HZ
    )


def check_long_enough(audio: Waveform, field: str) -> None:
    """Raises InputError for audio under MIN_S, in which there is no music."""
    if audio.duration_s < MIN_S:
        found = f"{audio.samples.shape[1]} samples ({audio.duration_s:.3g} s)"
        raise InputError(field, found, f"give audio of at least {MIN_S:g} s")


def is_silent(audio: Waveform) -> bool:
    """Whether nothing in it moves: a DC offset alone is silence too."""
    return all(float(row.max() - row.min()) < _SILENCE for row in audio.samples)
