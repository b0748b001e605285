"""Check single values against the table of fields in `schema.py`."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import TypeGuard

from toccata.errors import InputError
from toccata.generation.schema import MAX_PROMPT_CHARACTERS, Field, Schema

MAX_EXACT_FLOAT = 2.0**53  # beyond it a float may stand for another whole number


def draw_seed() -> int:
    """Draw a seed that is short enough to be retyped, and exact in every JSON reader."""
    return secrets.randbelow(2**32)


def from_text(field: Field, text: str) -> object:
    """Read the number that `text` spells for a number field; return anything else unchanged.

    For interfaces that know only text. Checking the value later refuses what is no number.
    """
    readers = {"integer": (int, float), "number": (float,)}
    for reader in readers.get(field.kind, ()):
        try:
            return reader(text)
        except ValueError:
            continue
    return text


def unknown(name: str, value: object, names: tuple[str, ...], kind: str = "input") -> InputError:
    """The error for a name that is not among `names`, with the closest of them.

    Args:
        name: The unknown name.
        value: Its value.
        names: The known names.
        kind: What the names are names of: "input", "option".
    """
    hint = closest(name, names) or f"the {kind}s are " + ", ".join(names)
    return InputError(name, shortened(value), f"there is no such {kind}; {hint}")


def check_fields(
    raw: Mapping[str, object], schema: Schema
) -> tuple[dict[str, object], list[InputError]]:
    """Check every value of `raw`, and fill in the defaults of `schema`.

    Returns:
        The correct values by field name, and the problems: unknown names first, then wrong values
        in the order of the fields.
    """
    problems = [
        unknown(name, value, schema.names)
        for name, value in raw.items()
        if name not in schema.names
    ]
    values: dict[str, object] = {}
    for field in schema.fields:
        try:
            values[field.name] = checked(field, raw.get(field.name, field.default))
        except InputError as problem:
            problems.append(problem)
    return values, problems


def closest(text: str, known: tuple[str, ...]) -> str:
    """A question for the known name that is closest to `text`; empty where none is close."""
    from difflib import get_close_matches  # only here: it would slow every start

    close = get_close_matches(text, known, n=1)
    return f"did you mean {close[0]}?" if close else ""


def checked(field: Field, value: object) -> object:
    """Return `value` in the type of `field`. Raises InputError for a value that is not allowed."""
    if value is None and field.default is None:
        return None
    if field.kind in ("integer", "number"):
        return None if _is_unset(field, value) else _number(field, value)
    if field.kind == "string":
        return _choice(field, value) if field.choices else _text(field, value)
    return _boolean(field, value) if field.kind == "boolean" else _audio(field, value)


def _is_unset(field: Field, value: object) -> bool:
    number = plain(value)
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    return is_number and number == field.unset


def _wrong(field: Field, value: object, detail: str = "") -> InputError:
    return InputError(field.name, shortened(value), detail or f"it must be {field.allowed}")


def _boolean(field: Field, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(field, value)
    return value


def plain(value: object) -> object:
    """Convert a number of numpy to Python's; return anything else unchanged, booleans too."""
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
    hint = closest(value, field.choices) if isinstance(value, str) else ""
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


def shortened(value: object) -> object:
    """Shorten `value` for an error message: a data URI can be megabytes long."""
    text = str(value)
    return value if len(text) <= 80 else text[:77] + "..."


def is_number(value: object, high: float = float("inf")) -> TypeGuard[float]:
    """Whether `value` is a number from 0 to `high`; nan, True and False are not."""
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= high
