"""The fields of a request as one table: their names, limits, defaults and descriptions.

`GenerationRequest` enforces it; the flags of the command line and docs/reference are made from it.
It imports nothing heavy, so that `toccata --help` answers at once. The inputs of the hosted
versions, under their own names, are in `server/hosted_inputs.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["string", "audio", "integer", "number", "boolean"]

MAX_PROMPT_CHARACTERS = 4000
MAX_SEED = 2**63 - 1
MAX_DURATION_S = 3600
MAX_FADE_S = 600
MAX_BETA = 100
MAX_AUDIO_S = 24 * 3600
RANDOM_SEED = -1  # the hosted service takes it, and no value, as "draw one"
ENCODE_DECODE = "encode-decode"

MELODY_MODELS = ("mini", "melody", "melody-large", "stereo-melody", "stereo-melody-large")
STYLE_MODELS = ("style",)
TEXT_MODELS = ("small", "medium", "large", "stereo-small", "stereo-medium", "stereo-large")


@dataclass(frozen=True)
class Field:
    """One field: its name, its allowed values and its meaning.

    `minimum` and `maximum` are published with the schema. `floor` and `ceiling` are enforced and
    not published: they keep out values that could only fail later. `unset` is a number that means
    no value.
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
    unset: float | None = None

    @property
    def low(self) -> float:
        return self.floor if self.minimum is None else self.minimum

    @property
    def high(self) -> float:
        return self.ceiling if self.maximum is None else self.maximum

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
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
    """The fields of one interface, in their published order (`x-order`)."""

    fields: tuple[Field, ...]

    def __getitem__(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    def changed(self, **changes: Mapping[str, Any]) -> Schema:
        """The same fields with some of their properties replaced, by field name."""
        return Schema(tuple(replace(field, **changes.get(field.name, {})) for field in self.fields))


PROMPT = Field("prompt", "string", None, "Description of the music.")
MODEL = Field(
    "model_version",
    "string",
    "mini",
    "Name of the model. encode-decode generates nothing: it passes audio through the codec.",
    choices=(*MELODY_MODELS, *STYLE_MODELS, *TEXT_MODELS, ENCODE_DECODE),
)
FORMAT = Field(
    "output_format",
    "string",
    "wav",
    "Format of the audio file.",
    choices=("wav", "mp3", "flac", "ogg"),
)
START = Field(
    "start_s",
    "number",
    0.0,
    "Start of the part of the audio file to use, in seconds.",
    minimum=0,
    ceiling=MAX_AUDIO_S,
)
END = Field(
    "end_s",
    "number",
    None,
    "End of that part, in seconds. No value or -1 is the end of the audio.",
    minimum=0,
    ceiling=MAX_AUDIO_S,
    unset=-1,
)

REQUEST = Schema(
    (
        PROMPT,
        Field(
            "duration_s",
            "number",
            8.0,
            "Seconds of audio to generate.",
            maximum=MAX_DURATION_S,
            floor=0.1,
        ),
        Field(
            "seed",
            "integer",
            None,
            "Seed of the random numbers: the same seed gives the same music on machines of one "
            "kind, in the same precision. No value or -1 draws a seed, which is reported.",
            floor=RANDOM_SEED,
            ceiling=MAX_SEED,
            unset=RANDOM_SEED,
        ),
        Field(
            "melody",
            "audio",
            None,
            "Audio whose melody the music follows; with the model `style`, whose style.",
        ),
        Field("continue_from", "audio", None, "Audio to continue; the clip begins with it."),
        Field(
            "top_k",
            "integer",
            None,
            "Sample from this many of the likeliest codes. 0 samples from all.",
            floor=0,
            ceiling=65536,
        ),
        Field(
            "top_p",
            "number",
            None,
            "Nucleus sampling: sample from the likeliest codes that have this probability "
            "together. 0 switches it off, and top_k applies.",
            floor=0,
            ceiling=1,
        ),
        Field(
            "temperature",
            "number",
            None,
            "Sampling temperature: higher is more varied, lower more predictable. 0 takes the "
            "likeliest code.",
            floor=0,
            ceiling=100,
        ),
        Field(
            "cfg",
            "number",
            None,
            "Classifier-free guidance: how strongly the music follows prompt and melody. 1 "
            "switches guidance off, which is twice as fast.",
            floor=0,
            ceiling=100,
        ),
        Field(
            "cfg_beta",
            "number",
            None,
            "For the model style: weight of the prompt against the audio.",
            floor=0,
            ceiling=MAX_BETA,
        ),
        Field(
            "normalization",
            "string",
            "loudness",
            "How the level is set: loudness to -14 LUFS, peak to -1 dBFS, rms to -18 dBFS; clip "
            "leaves the level and limits peaks to -0.5 dBFS.",
            choices=("loudness", "clip", "peak", "rms"),
        ),
        Field(
            "stride_s",
            "number",
            None,
            "For clips longer than the window of the model: seconds by which the window moves.",
            floor=0.01,
            ceiling=MAX_DURATION_S,
        ),
        Field("fade_in_s", "number", 0.0, "Seconds of fade-in.", minimum=0, maximum=MAX_FADE_S),
        Field("fade_out_s", "number", 0.0, "Seconds of fade-out.", minimum=0, maximum=MAX_FADE_S),
    )
)


def default_of(field: Field) -> str:
    """Describe what applies where `field` is left out; empty where nothing does."""
    if field.default is not None:
        return _plain(field.default)
    usual = _USUAL.get(field.name.removesuffix("_s"))
    return "" if usual is None else f"the model's own, usually {usual}"


# The usual defaults of published models, by field without its unit; a model may have others.
_USUAL = {
    "top_k": "250",
    "top_p": "0",
    "temperature": "1",
    "cfg": "3",
    "classifier_free_guidance": "3",
    "cfg_beta": "5",
    "stride": "0.6 of its window, 18 of 30 s",
}
