"""The request of the library, the command line, the worker and the server: one type, checked once.

`schema.py` has the limits of its fields as a light table; here pydantic enforces them, and every
problem of a request is raised at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Annotated, Any, Self, TypedDict

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from toccata.audio.audio_input import (
    AudioInput,
    AudioPart,
    check_audio,
    check_local,
    part_of,
    read_audio,
)
from toccata.errors import InputError, InputErrors, check_path
from toccata.generation.schema import REQUEST
from toccata.generation.values import checked, draw_seed, is_number, plain, unknown
from toccata.models.sampling_params import SamplingParams
from toccata.settings import MAX_SLOTS

STRIDE_OF_SEGMENT = 0.6
MAX_CHUNK_S = 10**9
_SAMPLING = ("temperature", "top_k", "top_p", "cfg", "cfg_beta")
_NUMBERS = ("duration_s", "top_k", "top_p", "temperature", "cfg", "cfg_beta", "stride_s")


class RequestOptions(TypedDict, total=False):
    """The fields of a `GenerationRequest` beside its prompt, as keyword arguments."""

    duration_s: float
    seed: int | None
    melody: AudioInput | None
    continue_from: AudioInput | None
    top_k: int | None
    top_p: float | None
    temperature: float | None
    cfg: float | None
    cfg_beta: float | None
    normalization: str
    stride_s: float | None
    fade_in_s: float
    fade_out_s: float


def _checked_by(check: Callable[[Any], Any], value: Any) -> Any:
    """Call `check` and raise its InputError as an error that pydantic collects."""
    try:
        return check(value)
    except InputError as error:
        context = {"message": str(error), "error": error}
        raise PydanticCustomError("toccata", "{message}", context) from error


def _limits(name: str) -> Any:
    """The limits and the description of a field of the table, for pydantic and its JSON schema."""
    field = REQUEST[name]
    return Field(ge=field.minimum, le=field.maximum, description=field.description)


def _by_table(name: str) -> BeforeValidator:
    """A check against the table, by which number fields take numbers of NumPy, but no text."""
    return BeforeValidator(partial(_checked_by, partial(checked, REQUEST[name])))


@dataclass(frozen=True)
class _Audio:
    """How pydantic checks and serialises the audio of a field, whose classes it does not know."""

    field: str

    def __get_pydantic_core_schema__(self, _: object, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            partial(_checked_by, self._checked),
            serialization=core_schema.plain_serializer_function_ser_schema(
                self._to_json, when_used="json"
            ),
            json_schema_input_schema=core_schema.nullable_schema(core_schema.dict_schema()),
        )

    def _checked(self, audio: object) -> object:
        if isinstance(audio, Mapping):  # from JSON: the fields of an AudioPart
            audio = self._part(audio)
        if audio is not None:
            check_audio(self.field, audio)
        return audio

    def _part(self, values: Mapping[Any, Any]) -> AudioPart:
        names = tuple(field.name for field in fields(AudioPart))
        if "file" not in values or not set(values) <= set(names):
            raise InputError(self.field, dict(values), "its keys may be " + ", ".join(names))
        return AudioPart(**values)

    def _to_json(self, audio: AudioInput | None) -> dict[str, Any] | None:
        if audio is None:
            return None
        if not isinstance(audio, str | os.PathLike | AudioPart):
            cure = "save it, and give the path of the file"
            raise InputError(self.field, type(audio).__name__, cure, "has no JSON form")
        return {**asdict(part := part_of(audio)), "file": os.fspath(part.file)}


class CheckedRequest(BaseModel):
    """A frozen pydantic model whose problems are raised as InputErrors, all at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @model_validator(mode="wrap")
    @classmethod
    def _raise_input_errors(cls, values: Any, handler: ValidatorFunctionWrapHandler) -> Self:
        try:
            made: Self = handler(values)
        except ValidationError as error:
            raise InputErrors([cls._problem(one) for one in error.errors()]) from error
        return made

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal; audio in memory is equal to itself alone."""
        if not isinstance(other, CheckedRequest) or type(self) is not type(other):
            return NotImplemented
        pairs = ((value, getattr(other, name)) for name, value in self)
        return all(a is b or (_is_value(a) and _is_value(b) and a == b) for a, b in pairs)

    def __hash__(self) -> int:
        return hash(tuple(value for _, value in self if _is_value(value)))

    @classmethod
    def _problem(cls, error: Any) -> InputError:
        field = ".".join(map(str, error["loc"]))
        if error["type"] == "extra_forbidden":
            return unknown(field, error["input"], tuple(cls.model_fields), "option")
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, InputError):
            if cause.field.startswith(field):
                return cause
            return InputError(f"{field}.{cause.field}", cause.value, cause.allowed)
        if error["type"] == "missing":
            return InputError(field, None, "give a value")
        return InputError(field, error["input"], error["msg"])


def _is_value(value: object) -> bool:
    """Whether a field can be compared: arrays and open files cannot."""
    return value is None or isinstance(value, str | int | float | os.PathLike | AudioPart)


class GenerationRequest(CheckedRequest):
    """One piece of music to generate.

    Audio is a Waveform or Clip, the path of a file, an AudioPart of one, its bytes, a binary file
    object, or a pair (samples [C, N] or [N], sample_rate_hz) of numpy or torch. Without prompt,
    melody and continue_from the music is unconditional. None for a sampling parameter or the stride
    is the default of the model.

    Attributes:
        prompt: A description of the music; at most 4000 characters.
        duration_s: Seconds of new audio.
        seed: 0 to 2^63 - 1; None or -1 draws one. The same seed gives the same music.
        melody: Audio whose melody the music follows; its style, with a style model.
        continue_from: Audio to continue; the clip begins with it.
        top_k: Sample from the k likeliest codes; 0 is no limit.
        top_p: Sample from the likeliest codes that have this probability together (nucleus
            sampling); above 0 it replaces top_k.
        temperature: Divides the logits; 0 takes the likeliest code.
        cfg: The coefficient of classifier-free guidance; 1 switches it off.
        cfg_beta: The weight of the text against the style, where a request has both.
        normalization: How the clip is leveled: loudness, peak, rms or clip.
        stride_s: Seconds by which the window moves on in clips longer than the segment of the
            model; by default 0.6 of the segment.
        fade_in_s: Seconds of fade at the beginning of the finished clip.
        fade_out_s: Seconds of fade at its end.

    Raises:
        InputErrors: With every problem of the request.
    """

    prompt: Annotated[str | None, _limits("prompt"), _by_table("prompt")] = None
    duration_s: Annotated[float, _limits("duration_s"), _by_table("duration_s")] = 8.0
    seed: Annotated[int | None, _limits("seed"), _by_table("seed")] = None
    melody: Annotated[AudioInput | None, _Audio("melody"), _limits("melody")] = None
    continue_from: Annotated[
        AudioInput | None, _Audio("continue_from"), _limits("continue_from")
    ] = None
    top_k: Annotated[int | None, _limits("top_k"), _by_table("top_k")] = None
    top_p: Annotated[float | None, _limits("top_p"), _by_table("top_p")] = None
    temperature: Annotated[float | None, _limits("temperature"), _by_table("temperature")] = None
    cfg: Annotated[float | None, _limits("cfg"), _by_table("cfg")] = None
    cfg_beta: Annotated[float | None, _limits("cfg_beta"), _by_table("cfg_beta")] = None
    normalization: Annotated[str, _limits("normalization"), _by_table("normalization")] = "loudness"
    stride_s: Annotated[float | None, _limits("stride_s"), _by_table("stride_s")] = None
    fade_in_s: Annotated[float, _limits("fade_in_s"), _by_table("fade_in_s")] = 0.0
    fade_out_s: Annotated[float, _limits("fade_out_s"), _by_table("fade_out_s")] = 0.0

    @classmethod
    def of(cls, request: GenerationRequest | str | Mapping[str, Any]) -> GenerationRequest:
        """Convert a prompt or keyword arguments; a request stays as it is.

        Raises:
            InputErrors: With every problem of the request.
        """
        if isinstance(request, GenerationRequest):
            return request
        if isinstance(request, str):
            return cls(prompt=request)
        # A name that is no text would be a TypeError; as text it is unknown like others.
        return cls(**{str(name): value for name, value in request.items()})

    def resolve(self, defaults: SamplingParams, segment_s: float) -> GenerationRequest:
        """Fill in the defaults of a model, and draw a seed if there is none.

        Audio that is not the name of a file is read: it might be readable only once.

        Args:
            defaults: The sampling parameters of the model.
            segment_s: The seconds that the model generates in one window.

        Raises:
            InputErrors: The stride is longer than the segment, or a copy has wrong values.
            AudioError: Audio cannot be read.
        """
        type(self)(**dict(self))  # model_copy does not validate: check again
        stride_s = STRIDE_OF_SEGMENT * segment_s if self.stride_s is None else self.stride_s
        if not 0 < stride_s <= segment_s:
            allowed = f"it must be more than 0 and at most {segment_s:g}, the model's segment"
            raise InputErrors([InputError("stride_s", stride_s, allowed)])
        own = {name: getattr(defaults, name) for name in _SAMPLING if getattr(self, name) is None}
        audio = {
            name: _read_once(name, getattr(self, name)) for name in ("melody", "continue_from")
        }
        seed = draw_seed() if self.seed is None else self.seed
        return self.model_copy(update={**own, **audio, "seed": seed, "stride_s": stride_s})

    @property
    def audio(self) -> AudioInput | None:
        """The audio of a request that has one: what it continues, or else its melody."""
        return self.melody if self.continue_from is None else self.continue_from

    def with_audio(self, audio: AudioInput) -> GenerationRequest:
        """The same request with other audio in the place of `audio`."""
        name = "melody" if self.continue_from is None else "continue_from"
        return self.model_copy(update={name: audio})

    @property
    def sampling(self) -> SamplingParams:
        """The sampling parameters of a resolved request."""
        return SamplingParams(**{name: getattr(self, name) for name in _SAMPLING})

    def parameters(self) -> dict[str, str]:
        """The numbers of a resolved request, as text for the tags of its clip."""
        numbers = {name: f"{getattr(self, name):g}" for name in _NUMBERS}
        return {**numbers, "normalization": self.normalization}


class EncodeDecodeRequest(CheckedRequest):
    """Audio to pass through the codec alone.

    Attributes:
        audio: The audio, as that of a GenerationRequest.
        normalization: How the result is leveled: loudness, peak, rms or clip.
    """

    audio: Annotated[AudioInput, _Audio("audio")]
    normalization: Annotated[str, _limits("normalization"), _by_table("normalization")] = "clip"

    def with_audio(self, audio: AudioInput) -> EncodeDecodeRequest:
        """The same request with other audio."""
        return self.model_copy(update={"audio": audio})


ModelRequest = GenerationRequest | EncodeDecodeRequest
"""A request of either task of a model."""


def _read_once(field: str, audio: AudioInput | None) -> AudioInput | None:
    if audio is None:
        return None
    if not isinstance(audio, str | os.PathLike | AudioPart):
        return read_audio(field, audio)
    check_local(field, part_of(audio).file)
    return audio


def listed(wanted: object) -> Iterable[Any]:
    """Return `wanted`. Raises InputError if it is no list, or a single request."""
    # pydantic's models are iterable, over their fields.
    is_one = isinstance(wanted, str | bytes | Mapping | GenerationRequest)
    if is_one or not isinstance(wanted, Iterable):
        cure = "give a list of prompts, keyword arguments of generate, or GenerationRequests"
        raise _not_valid("wanted", wanted, cure)
    return wanted


def check_item(index: int, one: object) -> None:
    """Raises InputError for what cannot be the request at `index` of a list."""
    if not isinstance(one, GenerationRequest | str | Mapping):
        cure = "use a prompt, the keyword arguments of generate, or a GenerationRequest"
        raise _not_valid(f"wanted[{index}]", one, cure)


def check_name(name: object) -> None:
    """Raises InputError for what cannot name a model."""
    if not isinstance(name, str | os.PathLike):
        raise _not_valid("name", name, "use the name of a model, a hub id or a folder")
    check_path("name", name)


def check_callbacks(**given: object) -> None:
    """Raises InputError for what is to be called and cannot be; None is nothing to call."""
    for name, callback in given.items():
        if callback is not None and not callable(callback):
            raise InputError(name, callback, "give a function, or leave it out")


def checked_slots(slots: object) -> int:
    """How many requests run at once. Raises InputError."""
    number = plain(slots)
    is_whole = isinstance(number, int) and not isinstance(number, bool)
    if not (is_whole and is_number(number, high=MAX_SLOTS) and number >= 1):
        raise _not_valid("slots", slots, f"use a whole number from 1 to {MAX_SLOTS}")
    return int(number)


def checked_chunk_s(chunk_s: object) -> float:
    """How long the pieces of a stream are. Raises InputError."""
    number = plain(chunk_s)
    if not is_number(number, high=MAX_CHUNK_S) or number == 0:
        raise _not_valid("chunk_s", chunk_s, "use more than 0 seconds")
    return number


def _not_valid(field: str, value: object, cure: str) -> InputError:
    """The error for a wrong value that is required; it says "is None" where None was given."""
    return InputError(field, value, cure, "is None" if value is None else None)
