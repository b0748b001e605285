"""The request of the library, checked once, before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeGuard

from toccata.audio.waveform import Waveform
from toccata.errors import InputError, InputErrors, check_path
from toccata.generation.inputs import Inputs, checked, draw_seed, plain
from toccata.generation.schema import EXTENDED
from toccata.models.sampling_params import SamplingParams
from toccata.settings import MAX_SLOTS

if TYPE_CHECKING:  # the command line imports this, and waits for no numpy
    from toccata.audio.audio_input import AudioInput

STRIDE_OF_SEGMENT = 0.6
MAX_BETA = 100
MAX_FADE_S = 10**6
MAX_CHUNK_S = 10**9

# What they may be is kept in one table, under the names of the 14 inputs.
_INPUTS = {
    "prompt": "prompt",
    "duration_s": "duration",
    "top_k": "top_k",
    "top_p": "top_p",
    "temperature": "temperature",
    "cfg": "classifier_free_guidance",
    "seed": "seed",
    "normalization": "normalization_strategy",
}
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


@dataclass(frozen=True, eq=False, kw_only=True)
class GenerationRequest:
    """One piece of music to generate.

    Audio is a Waveform or Clip, the name of a file, its bytes, a binary file object, or a pair
    (samples [C, N] or [N], sample_rate_hz) of numpy or torch. Without prompt, melody and
    continue_from the music is unconditional. None for a sampling parameter or the stride is the
    default of the model.

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
    """

    prompt: str | None = None
    duration_s: float = 8.0
    seed: int | None = None
    melody: AudioInput | None = None
    continue_from: AudioInput | None = None
    top_k: int | None = None
    top_p: float | None = None
    temperature: float | None = None
    cfg: float | None = None
    cfg_beta: float | None = None
    normalization: str = "loudness"
    stride_s: float | None = None
    fade_in_s: float = 0.0
    fade_out_s: float = 0.0

    @classmethod
    def of(cls, wanted: GenerationRequest | str | Mapping[str, Any]) -> GenerationRequest:
        """Convert a prompt or keyword arguments; a request stays as it is.

        Raises:
            InputError: There is no such option.
        """
        if isinstance(wanted, GenerationRequest):
            return wanted
        options = {"prompt": wanted} if isinstance(wanted, str) else wanted
        names = [field.name for field in fields(cls)]
        for name, value in options.items():
            if name not in names:
                raise InputError(name, value, "there is no such option; use " + ", ".join(names))
        return cls(**options)

    def resolve(self, defaults: SamplingParams, segment_s: float) -> GenerationRequest:
        """Check the request and fill in the defaults of the model and a seed.

        Audio that is not the name of a file is read: it might be readable only once.

        Args:
            defaults: The sampling parameters of the model.
            segment_s: The seconds that the model generates in one window.

        Raises:
            InputErrors: With every problem of the request.
            AudioError: Audio cannot be read.
        """
        own = {**vars(defaults), "stride_s": STRIDE_OF_SEGMENT * segment_s}
        given = {name: plain(value) for name, value in vars(self).items()}
        missing = {name: value for name, value in own.items() if given[name] is None}
        request = GenerationRequest(**{**given, **missing})
        values, problems = request._checked()
        problems += request._problems(segment_s)
        if problems:
            raise InputErrors(problems)
        if values["seed"] is None:
            values["seed"] = draw_seed()
        values |= {name: self._read(name) for name in ("melody", "continue_from")}
        return replace(request, **values)

    def _read(self, name: str) -> Waveform | Path | None:
        audio = getattr(self, name)
        if audio is None:
            return None
        if isinstance(audio, str | os.PathLike):
            return Path(audio)
        from toccata.audio.audio_input import read_audio

        return read_audio(name, audio)

    @property
    def sampling(self) -> SamplingParams:
        """The sampling parameters of a resolved request."""
        return SamplingParams(**{f.name: getattr(self, f.name) for f in fields(SamplingParams)})

    def parameters(self) -> dict[str, str]:
        """The numbers of a resolved request, as text for the tags of its clip."""
        numbers = {name: f"{getattr(self, name):g}" for name in _NUMBERS}
        return {**numbers, "normalization": self.normalization}

    def _checked(self) -> tuple[dict[str, Any], list[InputError]]:
        """The values of the table of inputs as it has them, and what is wrong with the others."""
        values: dict[str, Any] = {}
        problems = []
        for name, published in _INPUTS.items():
            try:
                values[name] = checked(EXTENDED[published], getattr(self, name))
            except InputError as problem:
                problems.append(InputError(name, problem.value, problem.allowed))
        return values, problems

    def _problems(self, segment_s: float) -> Iterator[InputError]:
        if not is_number(self.stride_s, high=segment_s) or self.stride_s == 0:
            allowed = f"it must be more than 0 and at most {segment_s:g}, the model's segment"
            yield InputError("stride_s", self.stride_s, allowed)
        if not is_number(self.cfg_beta, high=MAX_BETA):
            yield InputError("cfg_beta", self.cfg_beta, f"use a number from 0 to {MAX_BETA}")
        yield from self._problems_of_audio()
        for name in ("fade_in_s", "fade_out_s"):
            if not is_number(value := getattr(self, name), high=MAX_FADE_S):
                yield InputError(name, value, f"use 0 to {MAX_FADE_S} seconds")

    def _problems_of_audio(self) -> Iterator[InputError]:
        for name in ("melody", "continue_from"):
            if (audio := getattr(self, name)) is not None:
                from toccata.audio.audio_input import check_audio

                try:
                    check_audio(name, audio)
                except InputError as problem:
                    yield problem


def request_options(inputs: Inputs, part: Waveform | None) -> dict[str, Any]:
    """The fields of a `GenerationRequest` for checked inputs.

    Args:
        inputs: The checked inputs.
        part: The part of their audio that the request uses; None without audio.
    """
    return {
        "prompt": inputs.prompt,
        "duration_s": inputs.duration,
        "seed": inputs.seed,
        "melody": None if inputs.continuation else part,
        "continue_from": part if inputs.continuation else None,
        "top_k": inputs.top_k,
        "top_p": inputs.top_p,
        "temperature": inputs.temperature,
        "cfg": inputs.classifier_free_guidance,
        "normalization": inputs.normalization_strategy,
    }


def listed(wanted: object) -> Iterable[Any]:
    """`wanted`, unless it is one request in the place of a list of them: InputError."""
    if isinstance(wanted, str | bytes | Mapping) or not isinstance(wanted, Iterable):
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
    """For values that must be there: None is as wrong as any other."""
    return InputError(field, value, cure, "is None" if value is None else None)


def is_number(value: object, high: float = float("inf")) -> TypeGuard[float]:
    """A number from 0 to `high`, nan excluded; True and False are none."""
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= high
