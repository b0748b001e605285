"""Training configurations: YAML files checked against frozen dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from toccata.errors import InputError

T = TypeVar("T")
_SCALARS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def load_config(path: Path, kind: type[T]) -> T:
    """Read `path` as a `kind`. Raises InputError for a missing file, unknown or missing keys."""
    if not path.is_file():
        raise InputError("config", str(path), "name an existing YAML file")
    return from_mapping(kind, read_yaml(path) or {}, path.name)


def read_yaml(path: Path) -> object:
    """What is in a YAML file. Raises InputError for what is none."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError("config", str(path), "save it as text in UTF-8", "is no UTF-8") from error
    except yaml.YAMLError as error:
        problem = f"is no YAML: {str(error).splitlines()[0]}"
        raise InputError("config", str(path), "correct it", problem) from error


def from_mapping(kind: type[T], values: object, where: str) -> T:
    """Build dataclass `kind` from nested mappings; lists become tuples."""
    if not isinstance(values, dict):
        raise InputError(where, values, f"give the fields of {kind.__name__}")
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(f"{where}.{key}", values[key], f"known keys: {', '.join(known)}")
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
