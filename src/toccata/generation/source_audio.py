"""Read the audio of a request, as far as the request uses it.

melody: of a file, what the windows of the clip can reach; of style models all, as they take its
middle. continuation, encode-decode: all of it, for it is part of the result.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from toccata.audio import audio_input
from toccata.audio.audio_input import MAX_RATE_HZ, MAX_VALUES, AudioInput
from toccata.audio.source import Source
from toccata.audio.waveform import Waveform
from toccata.errors import InputError
from toccata.generation.inputs import Inputs
from toccata.generation.schema import ENCODE_DECODE, MELODY_MODELS

log = logging.getLogger(__name__)

MIN_S = 0.1
# What the window of any published model reaches of a melody, and a little more.
MELODY_WINDOW_S = 31.0
SILENT = "the audio is silent: there is nothing in it to follow or to continue"
_SILENCE = 1e-5  # -100 dBFS

Warn = Callable[[str], None]


def read_audio(audio: AudioInput, field: str, *, end_s: float | None = None) -> Waveform:
    """A waveform, checked, whatever it comes from.

    Args:
        audio: As `audio_input.read_audio` takes it.
        field: What error messages call it.
        end_s: What is used of a file with a name; None: all.

    Raises:
        AudioError: For a file that cannot be read.
        InputError: For a waveform that is none.
    """
    if isinstance(audio, str | os.PathLike):
        audio_input.check_audio(field, audio)
        return _read(Path(audio), 0.0, end_s, log.warning)
    return audio_input.read_audio(field, audio)


def read_prompt(audio: AudioInput, field: str, *, end_s: float | None = None) -> Waveform:
    """As `read_audio`, for audio that a model follows or continues; silence logs a warning.

    Raises:
        AudioError: For a file that cannot be read.
        InputError: For a waveform that is none, and for too little audio.
    """
    prompt = read_audio(audio, field, end_s=end_s)
    check_long_enough(prompt, field)
    if is_silent(prompt):
        log.warning("%s: %s", field, SILENT)
    return prompt


def input_part(
    inputs: Inputs,
    model: str,
    warn: Warn = log.warning,
    *,
    source: Source | None = None,
    name: str | None = None,
    max_values: int = MAX_VALUES,
) -> Waveform | None:
    """What a checked request uses of its `input_audio`; None where it has none.

    Args:
        inputs: Of which `input_audio` is a path, unless there is a `source`.
        model: The name of the model that makes the music.
        warn: Takes a sentence about a file that was read although its header is wrong.
        source: What is read; None: the path.
        name: What messages call it; None: its path.
        max_values: How many samples it may have, over all channels.

    Raises:
        AudioError: For a file that cannot be read; TooMuchError for more than `max_values`.
        InputError: For a part that starts behind the end, and for too little audio.
    """
    from toccata.audio.files import PartError

    if inputs.input_audio is None:
        return None
    start_s, end_s = _span(inputs, model)
    try:
        given = Path(inputs.input_audio) if source is None else source
        part = _read(given, start_s, end_s, warn, name, max_values=max_values)
    except PartError as error:
        detail = f"input_audio lasts {error.duration_s:.2f} s: start before its end"
        raise InputError("continuation_start", start_s, detail) from error
    if inputs.model_version != ENCODE_DECODE:
        check_long_enough(part, "input_audio")
    return part


def declared_input_values(inputs: Inputs, model: str) -> int | None:
    """How many samples `input_part` gives if the file's headers are right; None: they do not tell.

    Raises AudioError for what cannot be opened as audio.
    """
    from toccata.audio.files import declared_values

    if inputs.input_audio is None:
        return 0
    start_s, end_s = _span(inputs, model)
    path = Path(inputs.input_audio)
    return declared_values(path, start_s=start_s, end_s=end_s, max_rate_hz=MAX_RATE_HZ)


def _span(inputs: Inputs, model: str) -> tuple[float, float | None]:
    """From where to where, in seconds, the audio is used; None: to its end."""
    start_s, end_s = inputs.continuation_start, inputs.continuation_end
    is_melody = not inputs.continuation and inputs.model_version != ENCODE_DECODE
    if is_melody and model in MELODY_MODELS:
        reach_s = start_s + inputs.duration + MELODY_WINDOW_S
        end_s = reach_s if end_s is None else min(end_s, reach_s)
    return start_s, end_s


def check_long_enough(audio: Waveform, field: str) -> None:
    """Raises InputError for audio under MIN_S, in which there is no music."""
    if audio.duration_s < MIN_S:
        found = f"{audio.samples.shape[1]} samples ({audio.duration_s:.3g} s)"
        raise InputError(field, found, f"give audio of at least {MIN_S:g} s")


def is_silent(audio: Waveform) -> bool:
    """Whether nothing in it moves: a DC offset alone is silence too."""
    return all(float(row.max() - row.min()) < _SILENCE for row in audio.samples)


def _read(
    source: Source,
    start_s: float,
    end_s: float | None,
    warn: Warn,
    name: str | None = None,
    *,
    max_values: int = MAX_VALUES,
) -> Waveform:
    from toccata.audio.files import read

    return read(
        source,
        start_s=start_s,
        end_s=end_s,
        max_values=max_values,
        max_rate_hz=MAX_RATE_HZ,
        warn=warn,
        name=name,
    )
