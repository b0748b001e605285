"""The inputs of `toccata generate`: the fields of a request, as flags and columns name them.

The names are those of the library, without their units; the names of the hosted service are
aliases. `read_inputs` makes a request of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from toccata.errors import InputError, InputErrors, check_path
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
from toccata.generation.values import checked, draw_seed

if TYPE_CHECKING:  # pydantic takes longer to import than `toccata --help` to answer
    from toccata.audio.audio_input import AudioPart
    from toccata.generation.request import GenerationRequest, ModelRequest

INPUT_AUDIO = Field(
    "input_audio",
    "audio",
    None,
    "Alias of --melody; with --continuation, of --continue-from.",
)
CONTINUATION = Field(
    "continuation", "boolean", False, "Continue --input-audio instead of following its melody."
)
_HOSTED = (INPUT_AUDIO, CONTINUATION)
AUDIO = ("melody", "continue_from", "input_audio")
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "model": ("model_version",),
    "cfg": ("classifier_free_guidance",),
    "normalization": ("normalization_strategy",),
    "format": ("output_format",),
    "start": ("continuation_start",),
    "end": ("continuation_end",),
}
# Fields whose names here are neither those of the table nor those without the unit.
_NAMES = {"model_version": "model", "output_format": "format"}


def _named(field: Field) -> Field:
    return replace(field, name=_NAMES.get(field.name, field.name.removesuffix("_s")))


_ORDER = (
    "prompt", "duration_s", "melody", "continue_from", "start_s", "end_s", "seed", "top_k", "top_p",
    "temperature", "cfg", "cfg_beta", "normalization", "stride_s", "fade_in_s", "fade_out_s",
)  # fmt: skip
_TABLE = {field.name: field for field in (*REQUEST.fields, START, END)}

INPUTS = Schema(
    (
        _named(MODEL),
        *(_named(_TABLE[name]) for name in _ORDER),
        _named(FORMAT),
        *_HOSTED,
    )
)


def hosted_names(name: str) -> tuple[str, ...]:
    """The names that the hosted service has for an input, if they are others."""
    return _ALIASES.get(name, ())


def _names_of(field: Field) -> tuple[str, ...]:
    """All names of an input in a column: its own, that with the unit, and the hosted one."""
    with_unit = f"{field.name}_s"
    units = (with_unit,) if with_unit in _TABLE else ()
    return (field.name, *units, *hosted_names(field.name))


_BY_NAME = {name: field for field in INPUTS.fields for name in _names_of(field)}
COLUMNS = tuple(_BY_NAME)
ENCODE_DECODE_INPUTS = ("model", *AUDIO, "continuation", "start", "end", "normalization", "format")


def field_of(name: str) -> Field:
    """The input that a name or an alias means; there must be one."""
    return _BY_NAME[name]


@dataclass(frozen=True)
class Inputs:
    """The checked inputs of one result.

    Attributes:
        model: The name of the model, or encode-decode.
        request: The request, with a seed; its audio is still the path, address or - that was given.
        output_format: The format of the file.
        names: The names that the inputs were given under, which errors use.
    """

    model: str
    request: ModelRequest
    output_format: str
    names: Mapping[str, str]

    @property
    def seed(self) -> int:
        """The seed of the request; 0 where it needs none."""
        seed: int = getattr(self.request, "seed", 0)
        return seed

    @property
    def audio(self) -> AudioPart | None:
        """The part of an audio file that the request uses, if it uses any."""
        return cast("AudioPart | None", self.request.audio)

    @property
    def audio_name(self) -> str:
        """The name that `audio` was given under."""
        return next(self.names[name] for name in AUDIO if name in self.names)

    @property
    def continues(self) -> bool:
        """Whether the clip continues `audio`."""
        return getattr(self.request, "continue_from", None) is not None

    def renamed(self, problem: InputError) -> InputError:
        """`problem` with the name that its field was given under."""
        return _renamed(problem, self.names)

    def with_seed(self, seed: int) -> Inputs:
        """The same inputs with another seed."""
        if self.model == ENCODE_DECODE:
            return self
        return replace(self, request=self.request.model_copy(update={"seed": seed}))


def read_inputs(raw: Mapping[str, Any], default_model: str) -> Inputs:
    """Check inputs and make a request of them.

    Args:
        raw: The values by name or alias.
        default_model: The model where none is named.

    Raises:
        InputErrors: With every problem. Fields have the names that `raw` has.
    """
    values, names, problems = _by_name(raw)
    model = values.setdefault("model", default_model)
    own: dict[str, Any] = {}  # checked here; the request checks the others
    for name in _CHECKED_HERE:
        field = _model_field(model) if name == "model" else field_of(name)
        with _collected(problems):
            own[name] = checked(field, values.pop(name, field.default))
    source, request = None, None
    with _collected(problems):
        if len(own) == len(_CHECKED_HERE):
            source = _source(own, names)
    with _collected(problems):
        if source is None:
            _generation(values)  # for its problems
        else:
            request = _request(values, *source, own)
    if problems or request is None:
        raise InputErrors([_renamed(problem, names) for problem in problems])
    return Inputs(own["model"], request, own["format"], names)


# The others are fields of the request, which checks them itself.
_CHECKED_HERE = (
    "model", "melody", "continue_from", "input_audio", "continuation", "start", "end", "format",
)  # fmt: skip


@contextmanager
def _collected(problems: list[InputError]) -> Iterator[None]:
    """Add the problems that the block raises to `problems`, and go on after it."""
    try:
        yield
    except InputError as error:
        problems += error.problems if isinstance(error, InputErrors) else (error,)


def _by_name(
    raw: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, str], list[InputError]]:
    """The values by the names of INPUTS, the names that they were given under, and problems."""
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    problems = []
    for given, value in raw.items():
        name = field_of(given).name
        if name in names:
            problem = f"is given twice, as {names[name]} too"
            problems.append(InputError(given, value, "leave out one of the two", problem))
        values[name], names[name] = value, given
    return values, names, problems


def _renamed(problem: InputError, names: Mapping[str, str]) -> InputError:
    """`problem` with the name that its field was given under."""
    if problem.field not in _BY_NAME:
        return problem
    name = field_of(problem.field).name
    return problem.renamed(names.get(name, name))


def _model_field(model: object) -> Field:
    """On the user's own machine a model may also be a folder, or any repository of the hub."""
    field = field_of("model")
    if not isinstance(model, str) or model in field.choices or "\0" in model:
        return field
    check_path("model", model)
    is_place = "/" in model or Path(model).is_dir()
    return replace(field, choices=(*field.choices, model)) if is_place else field


def _source(own: Mapping[str, Any], names: Mapping[str, str]) -> tuple[str, AudioPart | None]:
    """The field of the request that takes the audio, and the audio."""
    from toccata.audio.audio_input import AudioPart

    given = [name for name in AUDIO if own[name] is not None]
    if len(given) > 1:
        both = f"cannot be used with {names[given[0]]}"
        raise InputError(names[given[1]], own[given[1]], "give one of the two", both)
    if own["continuation"] and given != ["input_audio"]:
        cure = "it needs input_audio, the audio to continue"
        raise InputError("continuation", True, cure, "cannot be used alone")
    if not given:
        unused = [name for name in ("start", "end") if own[name]]
        cure = "it needs audio: a melody, or audio to continue"
        if unused:
            raise InputErrors(
                [InputError(name, own[name], cure, "cannot be used alone") for name in unused]
            )
        return "melody", None
    role = "continue_from" if own["continuation"] else given[0]
    part = AudioPart(own[given[0]], own["start"], own["end"])
    return ("melody" if role == "input_audio" else role), part


def _request(
    values: Mapping[str, Any], role: str, part: AudioPart | None, own: Mapping[str, Any]
) -> ModelRequest:
    from toccata.generation.request import EncodeDecodeRequest

    if own["model"] == ENCODE_DECODE:
        if part is None:
            raise InputError("melody", None, "encode-decode needs the audio to encode")
        unused = [name for name in values if name not in ("model", "normalization")]
        if unused:
            problem = "cannot be used with encode-decode"
            cure = "it takes audio, start, end, normalization and format alone"
            raise InputErrors([InputError(name, values[name], cure, problem) for name in unused])
        return EncodeDecodeRequest(
            audio=part, normalization=values.get("normalization", "loudness")
        )
    request = _generation({**values, role: part})
    if part is None and request.prompt is None:
        raise InputError("prompt", None, "give a prompt, a melody or audio to continue")
    if role == "melody" and part is not None and own["model"] in TEXT_MODELS:
        able = ", ".join(MELODY_MODELS)
        detail = f"it cannot follow a melody: use {able}, or continue the audio"
        raise InputError("model", own["model"], detail)
    if request.seed is None:
        return request.model_copy(update={"seed": draw_seed()})
    return request


def _generation(values: Mapping[str, Any]) -> GenerationRequest:
    """The request of values by the names of INPUTS. Raises InputErrors."""
    from toccata.generation.request import GenerationRequest

    with_units = {
        f"{name}_s" if f"{name}_s" in _TABLE else name: value for name, value in values.items()
    }
    return GenerationRequest(**with_units)
