"""The 14 inputs of a request, as one table.

Flags, docs/reference and the server's JSON schema are made from it; `inputs.check` enforces it.
HOSTED is what the hosted `meta/musicgen` publishes; EXTENDED lifts the limits of that service.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["string", "audio", "integer", "number", "boolean"]

MAX_PROMPT_CHARACTERS = 4000
MAX_SEED = 2**63 - 1
MAX_AUDIO_S = 24 * 3600
RANDOM_SEED = -1  # what the hosted service takes, beside nothing at all, as "draw one"
ENCODE_DECODE = "encode-decode"

MELODY_MODELS = ("mini", "melody", "melody-large", "stereo-melody", "stereo-melody-large")
STYLE_MODELS = ("style",)
TEXT_MODELS = ("small", "medium", "large", "stereo-small", "stereo-medium", "stereo-large")


@dataclass(frozen=True)
class Field:
    """One input: what it is called, what it may be and what it means.

    `minimum` and `maximum` are published with the schema. `floor` and `ceiling` are not, and are
    enforced all the same: they keep out values that could only fail later.
    """

    name: str
    kind: Kind
    default: str | float | bool | None
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    floor: float = -math.inf
    ceiling: float = math.inf

    @property
    def low(self) -> float:
        return self.floor if self.minimum is None else self.minimum

    @property
    def high(self) -> float:
        return self.ceiling if self.maximum is None else self.maximum

    @property
    def allowed(self) -> str:
        """What it may be, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        limits = f" from {_plain(self.low)} to {_plain(self.high)}"
        return {
            "string": f"at most {MAX_PROMPT_CHARACTERS} characters of text",
            "audio": "a file or a URI",
            "boolean": "true or false",
            "integer": f"a whole number{limits}",
            "number": f"a number{limits}",
        }[self.kind]


def _plain(value: str | float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Schema:
    """The inputs that one surface takes, in their published order (`x-order`)."""

    fields: tuple[Field, ...]

    def __getitem__(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    def changed(self, **changes: Mapping[str, Any]) -> Schema:
        """The same inputs with some of their properties replaced, by field name."""
        return Schema(tuple(replace(field, **changes.get(field.name, {})) for field in self.fields))


HOSTED = Schema(
    (
        Field(
            "model_version",
            "string",
            "melody",
            "Name of the model. encode-decode generates nothing: it passes input_audio through "
            "the codec.",
            choices=("melody", "large", ENCODE_DECODE),
        ),
        Field("prompt", "string", None, "Description of the music."),
        Field(
            "input_audio",
            "audio",
            None,
            "Audio whose melody the music follows; with continuation, audio to continue.",
        ),
        Field("duration", "integer", 8, "Seconds of audio to generate.", maximum=30, floor=1),
        Field(
            "continuation",
            "boolean",
            False,
            "Continue input_audio instead of following its melody.",
        ),
        Field(
            "continuation_start",
            "integer",
            0,
            "Start of the part of input_audio to use, in seconds.",
            minimum=0,
            ceiling=MAX_AUDIO_S,
        ),
        Field(
            "continuation_end",
            "integer",
            None,
            "End of that part, in seconds. No value or -1 is the end of the audio.",
            minimum=0,
            ceiling=MAX_AUDIO_S,
        ),
        Field(
            "normalization_strategy",
            "string",
            "loudness",
            "How the level is set: loudness to -14 LUFS, peak to -1 dBFS, rms to -18 dBFS; clip "
            "leaves the level and limits peaks to -0.5 dBFS.",
            choices=("loudness", "clip", "peak", "rms"),
        ),
        Field(
            "top_k",
            "integer",
            250,
            "Sample from this many of the likeliest codes. 0 samples from all.",
            floor=0,
            ceiling=65536,
        ),
        Field(
            "top_p",
            "number",
            0.0,
            "Nucleus sampling: sample from the likeliest codes that have this probability "
            "together. 0 switches it off, and top_k applies.",
            floor=0,
            ceiling=1,
        ),
        Field(
            "temperature",
            "number",
            1.0,
            "Sampling temperature: higher is more varied, lower more predictable. 0 takes the "
            "likeliest code.",
            floor=0,
            ceiling=100,
        ),
        Field(
            "classifier_free_guidance",
            "integer",
            3,
            "How strongly the music follows prompt and melody. 1 switches guidance off, which "
            "is twice as fast.",
            floor=0,
            ceiling=100,
        ),
        Field(
            "output_format", "string", "wav", "Format of the audio file.", choices=("wav", "mp3")
        ),
        Field(
            "seed",
            "integer",
            None,
            "Seed of the random numbers: the same seed gives the same music on machines of one "
            "kind, in the same precision. No value or -1 draws a seed, which is reported.",
            floor=RANDOM_SEED,
            ceiling=MAX_SEED,
        ),
    )
)

# How codes are drawn is the model's own affair, unless the request says: no default here.
EXTENDED = HOSTED.changed(
    model_version={
        "default": "mini",
        "choices": (*MELODY_MODELS, *STYLE_MODELS, *TEXT_MODELS, ENCODE_DECODE),
    },
    input_audio={
        "description": "Audio whose melody (with the model style, whose style) the music follows; "
        "with continuation, audio to continue."
    },
    duration={"kind": "number", "default": 8.0, "maximum": 3600, "floor": 0.1},
    continuation_start={"kind": "number", "default": 0.0},
    continuation_end={"kind": "number"},
    top_k={"default": None},
    top_p={"default": None},
    temperature={"default": None},
    classifier_free_guidance={"kind": "number", "default": None},
    output_format={"choices": ("wav", "mp3", "flac", "ogg")},
)


def default_of(field: Field) -> str:
    """What happens where `field` is left out, in words; empty where that is nothing."""
    if field.default is None:
        hosted = HOSTED[field.name].default
        return "" if hosted is None else f"the model's own, usually {_plain(hosted)}"
    return _plain(field.default)
