"""Validate the `input` of a create request, with every problem at once.

`validate` does it like the hosted API, which takes JSON at its word, `coerce` like a Cog container,
which also reads numbers in text. `values.checked` says what is right. What does not go together is
not found here: it fails when the prediction runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toccata.errors import InputError, ToccataError
from toccata.generation.schema import MAX_PROMPT_CHARACTERS, Field
from toccata.generation.values import checked
from toccata.server.outbound import MAX_URL_CHARACTERS
from toccata.server.versions import Version

_SCHEMES = ("http", "https", "data")  # and no path, which would be one on the server

# kind of field: JSON types
_TYPES: dict[str, tuple[str, ...]] = {kind: (kind,) for kind in ("string", "integer", "boolean")}
_TYPES |= {"audio": ("string",), "number": ("number", "integer")}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `field` is a dotted path from the body on, empty for the body."""

    type: str
    field: str
    description: str
    context: Mapping[str, object] | None = None  # only Cog tells it: the limit or the choices

    @property
    def line(self) -> str:
        return f"- {self.field}: {self.description}\n" if self.field else f"- {self.description}\n"


class Refused(ToccataError):
    """A request that is refused, with every problem it has."""

    http_status = 422

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("".join(problem.line for problem in problems))
        self.problems = tuple(problems)


class InvalidRequest(Refused):
    """The hosted API refuses it."""

    def to_problem(self) -> dict[str, Any]:
        """The body of the answer."""
        return {
            "title": "Input validation failed",
            "detail": str(self),
            "status": self.http_status,
            "invalid_fields": [
                {"type": each.type, "field": each.field, "description": each.description}
                for each in self.problems
            ],
        }


class CogInvalid(Refused):
    """A Cog container refuses it."""

    def to_detail(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"detail": [_detail(problem) for problem in self.problems]}


def _detail(problem: Problem) -> dict[str, Any]:
    place = ["body", *problem.field.split(".")]
    context = {"ctx": dict(problem.context)} if problem.context else {}
    return {"loc": place, "msg": problem.description, "type": problem.type, **context}


def invalid_version() -> dict[str, Any]:
    """The body of the 422 for a version that is not served."""
    why = "The specified version does not exist (or perhaps you don't have permission to use it?)"
    return {"title": "Invalid version or not permitted", "detail": why, "status": 422}


def validate(version: Version, given: object) -> dict[str, object]:
    """Those of `given` that `version` knows, checked; nothing is filled in, and null is left out.

    Values stay as they were given, save that 8.0 becomes 8 where a whole number is due. What the
    version does not know is dropped unseen: one client puts its token there. Raises InvalidRequest.
    """
    if not isinstance(given, Mapping):
        words = f"Invalid type. Expected: object, given: {json_type(given)}"
        raise InvalidRequest([Problem("invalid_type", "input", words)])
    kept, faults = _split(version, given, lambda _, value: value)
    if faults:
        raise InvalidRequest([_hosted(fault) for fault in faults])
    return kept


def coerce(version: Version, given: object) -> dict[str, object]:
    """All inputs of `version`: `given`, coerced and checked, or the default. Raises CogInvalid."""
    if not isinstance(given, Mapping | None):
        raise CogInvalid([Problem("type_error.dict", "input", "value is not a valid dict")])
    kept, faults = _split(version, given or {}, _coerced)
    if faults:
        raise CogInvalid([_cog(fault) for fault in faults])
    return {field.name: kept.get(field.name, field.default) for field in version.schema.fields}


@dataclass(frozen=True)
class _Fault:
    """What is wrong with a value, before a surface puts it into its own words."""

    kind: str  # a row of _HOSTED
    field: Field
    given: str  # its JSON type
    detail: str = ""  # what `values.checked` says

    @property
    def expected(self) -> str:
        return _TYPES[self.field.kind][0]

    @property
    def limit(self) -> float:
        field = self.field
        return {"low": field.low, "high": field.high}.get(self.kind, MAX_PROMPT_CHARACTERS)

    def said(self, words: str, quote: str) -> str:
        choices = ", ".join(f"{quote}{choice}{quote}" for choice in self.field.choices)
        return words.format(it=self, choices=choices, limit=self.limit)


def _split(
    version: Version, given: Mapping[str, object], read: Callable[[Field, object], object]
) -> tuple[dict[str, object], list[_Fault]]:
    """The good values by name, and what is wrong with the others in the order of the fields."""
    kept: dict[str, object] = {}
    faults = []
    for field in version.schema.fields:
        value = read(field, given.get(field.name))
        if field.name not in given or (value is None and field.default is None):
            continue
        if fault := _fault(field, value):
            faults.append(fault)
        elif field.kind == "integer" and isinstance(value, float):
            kept[field.name] = int(value)
        else:
            kept[field.name] = value
    return kept, faults


def _fault(field: Field, value: Any) -> _Fault | None:
    """The first thing that is wrong with `value`, if anything is."""
    given = json_type(value)
    if given not in _TYPES[field.kind]:
        return _Fault("type", field, given)
    # `checked` would look for a choice that is like it, which takes long for a long text.
    if field.choices and value not in field.choices:
        return _Fault("choice", field, given)
    if field.kind == "audio" and _scheme(value) not in _SCHEMES:
        return _Fault("uri", field, given)
    if field.kind == "audio" and value[:5].lower() != "data:" and len(value) > MAX_URL_CHARACTERS:
        return _Fault("uri", field, given)
    try:
        checked(field, value)
    except InputError as error:
        return _Fault(_kind(field, value), field, given, error.allowed)
    return None


def _scheme(address: str) -> str:
    """What is before the colon; of a text without one so early, something that is no scheme."""
    return address[: max(map(len, _SCHEMES)) + 1].partition(":")[0].lower()


def _kind(field: Field, value: Any) -> str:
    """The kind of fault where only `checked` finds one."""
    if field.kind in ("integer", "number"):
        return "high" if value > field.high else "low"  # nan counts as low, as with pydantic
    return "long" if field.kind == "string" and len(value) > MAX_PROMPT_CHARACTERS else "text"


def json_type(value: object) -> str:
    """The name of a value's type in JSON Schema."""
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    names = {bool: "boolean", int: "integer", str: "string", list: "array", type(None): "null"}
    return names.get(type(value), "object")


# kind of fault: type and description, as gojsonschema words them
_HOSTED = {
    "type": ("invalid_type", "Invalid type. Expected: {it.expected}, given: {it.given}"),
    "choice": ("enum", "{it.field.name} must be one of the following: {choices}"),
    "low": ("number_gte", "Must be greater than or equal to {limit}"),
    "high": ("number_lte", "Must be less than or equal to {limit}"),
    "long": ("string_lte", "String length must be less than or equal to {limit}"),
    "uri": ("format", "Does not match format 'uri'"),
    "text": ("pattern", "{it.detail}"),
}


def _hosted(fault: _Fault) -> Problem:
    type_, words = _HOSTED[fault.kind]
    return Problem(type_, f"input.{fault.field.name}", fault.said(words, '"'))


# kind of fault, or of field if the type is wrong: type and message, as pydantic 1 words them
_COG = {
    "null": ("type_error.none.not_allowed", "none is not an allowed value"),
    "integer": ("type_error.integer", "value is not a valid integer"),
    "number": ("type_error.float", "value is not a valid float"),
    "boolean": ("type_error.bool", "value could not be parsed to a boolean"),
    "string": ("type_error.str", "str type expected"),
    "choice": ("type_error.enum", "value is not a valid enumeration member; permitted: {choices}"),
    "low": ("value_error.number.not_ge", "ensure this value is greater than or equal to {limit}"),
    "high": ("value_error.number.not_le", "ensure this value is less than or equal to {limit}"),
    "long": ("value_error.any_str.max_length", "ensure this value has at most {limit} characters"),
    "uri": ("value_error", "only http, https and data URIs are supported"),
    "text": ("value_error", "{it.detail}"),
}


def _cog(fault: _Fault) -> Problem:
    field, kind = fault.field, fault.kind
    if fault.given == "null":
        kind = "null"
    elif kind == "type":
        kind = "choice" if field.choices else fault.expected
    type_, words = _COG[kind]
    context: dict[str, object] = {"limit_value": fault.limit} if "{limit}" in words else {}
    if kind == "choice":
        context = {"enum_values": list(field.choices)}
    return Problem(type_, f"input.{field.name}", fault.said(words, "'"), context)


_BOOLEANS = {
    **dict.fromkeys((1, "1", "on", "t", "true", "y", "yes"), True),
    **dict.fromkeys((0, "0", "off", "f", "false", "n", "no"), False),
}
_READERS: Mapping[str, Callable[[Any], object]] = {
    "integer": int,
    "number": float,
    "boolean": lambda value: _BOOLEANS[value.lower() if isinstance(value, str) else value],
    "string": lambda value: str(value) if isinstance(value, int | float) else value,
}


def _coerced(field: Field, value: object) -> object:
    """`value` as pydantic 1 reads it; what it cannot read is unchanged, to be refused."""
    if value is None or field.choices or field.kind not in _READERS:
        return value
    try:
        return _READERS[field.kind](value)
    except (TypeError, ValueError, OverflowError, KeyError):
        return value
