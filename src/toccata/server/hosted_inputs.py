"""The inputs of the hosted versions under their own names, and what they mean as a request.

HOSTED is what the hosted `meta/musicgen` publishes; EXTENDED has the same names with the limits of
toccata. The library knows none of these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toccata.audio.audio_input import AudioPart
from toccata.errors import InputError, InputErrors
from toccata.generation.request import EncodeDecodeRequest, GenerationRequest, ModelRequest
from toccata.generation.schema import (
    ENCODE_DECODE,
    END,
    FORMAT,
    MELODY_MODELS,
    MODEL,
    REQUEST,
    START,
    TEXT_MODELS,
    Field,
    Schema,
)
from toccata.generation.values import check_fields, draw_seed


def _named(name: str, field: Field, **changes: Any) -> Field:
    """A field of the request under a hosted name."""
    return Schema((field,)).changed(**{field.name: {"name": name, **changes}}).fields[0]


EXTENDED = Schema(
    (
        MODEL,
        REQUEST["prompt"],
        Field(
            "input_audio",
            "audio",
            None,
            "Audio whose melody (with the model style, whose style) the music follows; with "
            "continuation, audio to continue.",
        ),
        _named("duration", REQUEST["duration_s"]),
        Field(
            "continuation",
            "boolean",
            False,
            "Continue input_audio instead of following its melody.",
        ),
        _named(
            "continuation_start",
            START,
            description="Start of the part of input_audio to use, in seconds.",
        ),
        _named(
            "continuation_end",
            END,
            description="End of that part, in seconds. No value or -1 is the end of the audio.",
        ),
        _named("normalization_strategy", REQUEST["normalization"]),
        REQUEST["top_k"],
        REQUEST["top_p"],
        REQUEST["temperature"],
        _named("classifier_free_guidance", REQUEST["cfg"]),
        FORMAT,
        REQUEST["seed"],
    )
)

HOSTED = EXTENDED.changed(
    model_version={"default": "melody", "choices": ("melody", "large", ENCODE_DECODE)},
    input_audio={
        "description": "Audio whose melody the music follows; with continuation, audio to continue."
    },
    duration={"kind": "integer", "default": 8, "maximum": 30, "floor": 1},
    continuation_start={"kind": "integer", "default": 0},
    continuation_end={"kind": "integer"},
    top_k={"default": 250},
    top_p={"default": 0.0},
    temperature={"default": 1.0},
    classifier_free_guidance={"kind": "integer", "default": 3},
    output_format={"choices": ("wav", "mp3")},
)


@dataclass(frozen=True)
class HostedRequest:
    """Checked inputs.

    Attributes:
        model: The name of the model that the client asks for; encode-decode has none.
        request: The inputs as a request of the library, with a seed. Its audio is still what the
            client wrote: an address.
        output_format: The format of the output file.
    """

    model: str
    request: ModelRequest
    output_format: str


def read_inputs(raw: Mapping[str, object], schema: Schema = HOSTED) -> HostedRequest:
    """Check the inputs of a version, and convert them to a request.

    Raises:
        InputErrors: With every problem: unknown names first, then wrong values in the order of the
            fields, then values that cannot go together.
    """
    values, problems = check_fields(raw, schema)
    for names, rule in _RULES:
        if all(name in values for name in names):
            problems += rule(values, schema)
    if problems:
        raise InputErrors(problems)
    return HostedRequest(
        str(values["model_version"]), _request(values), str(values["output_format"])
    )


def _request(values: Mapping[str, Any]) -> ModelRequest:
    audio = None
    if values["input_audio"] is not None:
        audio = AudioPart(
            values["input_audio"], values["continuation_start"], values["continuation_end"]
        )
    normalization = values["normalization_strategy"]
    if audio is not None and values["model_version"] == ENCODE_DECODE:
        return EncodeDecodeRequest(audio=audio, normalization=normalization)
    return GenerationRequest(
        prompt=values["prompt"],
        duration_s=values["duration"],
        seed=draw_seed() if values["seed"] is None else values["seed"],
        melody=None if values["continuation"] else audio,
        continue_from=audio if values["continuation"] else None,
        top_k=values["top_k"],
        top_p=values["top_p"],
        temperature=values["temperature"],
        cfg=values["classifier_free_guidance"],
        normalization=normalization,
    )


def _sources(values: Mapping[str, Any], schema: Schema) -> list[InputError]:
    """A request needs something to start from, and a model that can use it."""
    audio, model = values["input_audio"], values["model_version"]
    if audio is None and model == ENCODE_DECODE:
        return [InputError("input_audio", None, "encode-decode needs the audio to encode")]
    if audio is None and values["continuation"]:
        cure = "it needs input_audio, the audio to continue"
        return [InputError("continuation", True, cure, "cannot be used alone")]
    if audio is None and values["prompt"] is None:
        return [InputError("prompt", None, "give a prompt, input_audio or both")]
    if audio is None or values["continuation"] or model not in TEXT_MODELS:
        return []
    able = ", ".join(name for name in schema["model_version"].choices if name in MELODY_MODELS)
    detail = f"it cannot follow the melody of input_audio: use {able}, or set continuation"
    return [InputError("model_version", model, detail)]


def _part(values: Mapping[str, Any], _: Schema) -> list[InputError]:
    """The part of the audio must not be empty."""
    start_s, end_s = values["continuation_start"], values["continuation_end"]
    if end_s is None or start_s < end_s:
        return []
    detail = f"it must be before continuation_end, {end_s:g}"
    return [InputError("continuation_start", start_s, detail)]


_RULES = (
    (("model_version", "prompt", "input_audio", "continuation"), _sources),
    (("continuation_start", "continuation_end"), _part),
)
