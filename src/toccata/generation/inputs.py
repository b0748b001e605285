"""Check the 14 inputs of a request: their limits, the seed and the part of the audio.

The table of inputs is `schema.py`. A value is checked once, here, and a request is refused with
all of its problems at once.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from toccata.errors import InputError, InputErrors
from toccata.generation.schema import (
    ENCODE_DECODE,
    EXTENDED,
    HOSTED,
    MAX_PROMPT_CHARACTERS,
    MELODY_MODELS,
    RANDOM_SEED,
    TEXT_MODELS,
    Field,
    Schema,
)

MAX_EXACT_FLOAT = 2.0**53  # beyond it a float may stand for another whole number

__all__ = ["EXTENDED", "HOSTED", "Inputs", "check", "draw_seed", "from_text"]


@dataclass(frozen=True)
class Inputs:
    """A request that was checked. The seed is always there: drawn, where none was given.

    top_k, top_p, temperature and classifier_free_guidance None: as the model's own defaults say.
    """

    model_version: str
    prompt: str | None
    input_audio: str | Path | None
    duration: float
    continuation: bool
    continuation_start: float
    continuation_end: float | None
    normalization_strategy: str
    top_k: int | None
    top_p: float | None
    temperature: float | None
    classifier_free_guidance: float | None
    output_format: str
    seed: int


def check(raw: Mapping[str, object], schema: Schema = HOSTED) -> Inputs:
    """Check `raw` and fill in what it leaves out.

    Raises InputErrors with every problem there is: unknown names first, then wrong values in the
    order of the fields, then values that do not go together.
    """
    problems = [_unknown(name, raw[name], schema) for name in raw if name not in schema.names]
    values: dict[str, Any] = {}
    for field in schema.fields:
        try:
            values[field.name] = checked(field, raw.get(field.name, field.default))
        except InputError as problem:
            problems.append(problem)
    for names, rule in _RULES:
        if all(name in values for name in names):
            problems += rule(values, schema)
    if problems:
        raise InputErrors(problems)
    if values["seed"] is None:
        values["seed"] = draw_seed()
    return Inputs(**values)


def draw_seed() -> int:
    """A seed short enough to be retyped, and exact in every JSON reader."""
    return secrets.randbelow(2**32)


def from_text(field: Field, text: str) -> object:
    """The number that `text` spells for a number field; anything else unchanged.

    For surfaces that know only text: what is no number, `check` refuses with its own words.
    """
    readers = {"integer": (int, float), "number": (float,)}
    for reader in readers.get(field.kind, ()):
        try:
            return reader(text)
        except ValueError:
            continue
    return text


def _unknown(name: str, value: object, schema: Schema) -> InputError:
    hint = _closest(name, schema.names) or "the inputs are " + ", ".join(schema.names)
    return InputError(name, _short(value), f"there is no such input; {hint}")


def _closest(text: str, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches  # only here: it would slow every start

    close = get_close_matches(text, known, n=1)
    return f"did you mean {close[0]}?" if close else ""


def checked(field: Field, value: object) -> object:
    """`value` as `field` has it. Raises InputError."""
    if value is None and field.default is None:
        return None
    if field.name == "continuation_end" and value == -1:
        return None
    if field.kind in ("integer", "number"):
        number = _number(field, value)
        return None if field.name == "seed" and number == RANDOM_SEED else number
    if field.kind == "string":
        return _choice(field, value) if field.choices else _text(field, value)
    return _boolean(field, value) if field.kind == "boolean" else _audio(field, value)


def _wrong(field: Field, value: object, detail: str = "") -> InputError:
    return InputError(field.name, _short(value), detail or f"it must be {field.allowed}")


def _boolean(field: Field, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(field, value)
    return value


def plain(value: object) -> object:
    """A number of numpy's as Python's; all else as it is, booleans too."""
    if isinstance(value, bool) or not isinstance(value, Real) or not hasattr(value, "item"):
        return value
    # As it is written: a float32 of 0.3 is 0.3, and not 0.30000001192092896.
    return int(value) if isinstance(value, Integral) else float(str(value))


def _number(field: Field, value: object) -> int | float:
    value = plain(value)
    # To Python a bool is an int: true would pass for a duration of one second.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(field, value)
    if not field.low <= value <= field.high:  # nan is in no range, and every range is finite
        raise _wrong(field, value)
    if field.kind == "number":
        return float(value)
    if value != int(value) or (isinstance(value, float) and abs(value) > MAX_EXACT_FLOAT):
        raise _wrong(field, value)
    return int(value)


def _choice(field: Field, value: object) -> str:
    if isinstance(value, str) and value in field.choices:
        return value
    hint = _closest(value, field.choices) if isinstance(value, str) else ""
    raise _wrong(field, value, f"it must be {field.allowed}" + (hint and f"; {hint}"))


def _text(field: Field, value: object) -> str | None:
    """The text without the space around it; None where nothing is left.

    Line breaks and tabs are fine. Other control characters and lone surrogates are refused: file
    tags and tokenizers would cut or drop them silently.
    """
    if not isinstance(value, str) or len(value) > MAX_PROMPT_CHARACTERS:
        raise _wrong(field, value)
    for position, character in enumerate(value, start=1):
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n\r":
            detail = f"character {position} ({character!a}) is a control character: remove it"
            raise _wrong(field, value, detail)
    return value.strip() or None


def _audio(field: Field, value: object) -> str | Path:
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise _wrong(field, value)
    return value


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


def _short(value: object) -> object:
    """`value` as an error may show it: a data URI can be megabytes long."""
    text = str(value)
    return value if len(text) <= 80 else text[:77] + "..."
