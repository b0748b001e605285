"""Training configurations: YAML files checked against frozen dataclasses.

Not by pydantic: for these dataclasses, which are those of models too, its strict mode takes no
nested mappings or lists, and its lax mode takes `true` for 1, "12" for 12, and unknown keys.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from toccata.errors import InputError

T = TypeVar("T")
_SCALARS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def load_config(path: Path, kind: type[T]) -> T:
    """Read a YAML file as a dataclass.

    Args:
        path: The file.
        kind: The dataclass; fields without a default are required.

    Raises:
        InputError: The file is missing or no YAML, or a key is unknown, missing or of a wrong
            type; the message has the path of the key.
    """
    if not path.is_file():
        raise InputError("config", str(path), "name an existing YAML file")
    return from_mapping(kind, read_yaml(path) or {}, path.name)


def read_yaml(path: Path) -> object:
    """The content of a YAML file. Raises InputError for a file that is none."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError("config", str(path), "save it as text in UTF-8", "is no UTF-8") from error
    except yaml.YAMLError as error:
        problem = f"is no YAML: {str(error).splitlines()[0]}"
        raise InputError("config", str(path), "correct it", problem) from error


def from_mapping(kind: type[T], values: object, where: str) -> T:
    """Build a dataclass from nested mappings; lists become tuples.

    Args:
        kind: The dataclass.
        values: Its fields by name, as YAML or JSON has them.
        where: What errors call the whole: the name of the file.

    Raises:
        InputError: As for `load_config`.
    """
    if not isinstance(values, dict):
        raise InputError(where, values, f"give the fields of {kind.__name__}")
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(f"{where}.{key}", values[key], _known(key, known))
    required = [
        name
        for name, field in known.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    for name in required:
        if name not in values:
            raise InputError(f"{where}.{name}", None, "this key is required")
    hints = get_type_hints(kind)
    return kind(
        **{key: _value(hints[key], value, f"{where}.{key}") for key, value in values.items()}
    )


def _known(key: object, known: Iterable[str]) -> str:
    """The cure for an unknown key: the one that is spelt like it, and all."""
    from difflib import get_close_matches

    close = get_close_matches(str(key), known, n=1)
    guess = f"did you mean {close[0]}? " if close else ""
    return f"{guess}known keys: {', '.join(known)}"


def _value(hint: Any, value: object, where: str) -> object:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_mapping(hint, value, where)
    if get_origin(hint) is Mapping and not isinstance(value, dict):
        raise InputError(where, value, "give names, each with its value")
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint)[0], value, where)
    return _scalar(hint, value, where) if hint in _SCALARS else value


def _scalar(kind: type, value: object, where: str) -> object:
    if kind is float and isinstance(value, str):  # YAML 1.1 takes 1e-4 for text
        try:
            return float(value)
        except ValueError:
            pass
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise InputError(where, value, f"give {_SCALARS[kind]}")
    return value


def _tuple(hint: Any, value: object, where: str) -> object:
    if not isinstance(value, list | tuple):
        raise InputError(where, value, "give a list")
    return tuple(_value(hint, one, f"{where}[{index}]") for index, one in enumerate(value))
