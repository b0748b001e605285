"""Read nested configuration files; errors name the file and the field."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from toccata.config_limits import MAX_ITEMS
from toccata.errors import CheckpointError

T = TypeVar("T")
# The limit for numbers of any configuration. It also refuses nan and infinity, which Python's JSON
# allows.
MAX_NUMBER = 2**40
SHARD = ".safetensors"
REQUIRED: Any = object()


@dataclass(frozen=True)
class Fields:
    """A section of a configuration file, whose fields are named by dotted paths."""

    file: Path
    values: Mapping[str, Any]

    def get(self, path: str, kind: type[T], default: T = REQUIRED) -> T:
        """Return the value of a field.

        Args:
            path: The dotted path of the field.
            kind: The type that it must have; whole numbers are also valid as float.
            default: The value of a field that is missing or null.

        Raises:
            CheckpointError: If the field is missing without a default, of another type, or too
                large; the message names the file and the field.
        """
        value: Any = self.values
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is None and default is not REQUIRED:
            return default
        if kind is float and type(value) is int:
            value = float(value)
        if (
            not isinstance(value, kind)
            or (kind is int and isinstance(value, bool))
            or (isinstance(value, int | float) and not abs(value) <= MAX_NUMBER)
        ):
            raise CheckpointError(
                f"{self.file}: {path} is {value!r}, but it must be {kind.__name__}; "
                "the file is damaged or of a kind that is not supported"
            )
        return value

    def size(self, path: str) -> int:
        """Return a number of items, from 1 to MAX_ITEMS, that a reader loops over."""
        value = self.get(path, int)
        if not 0 < value <= MAX_ITEMS:
            raise CheckpointError(
                f"{self.file}: {path} is {value}, but only 1 to {MAX_ITEMS} is supported"
            )
        return value

    def section(self, path: str) -> Fields:
        """Return the section at `path`."""
        return Fields(self.file, self.get(path, dict))

    def record(self, kind: type[T]) -> T:
        """Convert this section to a dataclass, all of whose fields and no others must be there."""
        hints = get_type_hints(kind)
        for key in self.values:
            if key not in hints:
                raise CheckpointError(f"{self.file}: {key} is not a field of {kind.__name__}")
        values = {name: self._field(name, hint) for name, hint in hints.items()}
        return self.make(kind, **values)

    def _field(self, name: str, hint: Any) -> Any:
        if isinstance(hint, type) and is_dataclass(hint):
            return self.section(name).record(hint)
        if get_origin(hint) is tuple:
            return self._items(name, get_args(hint)[0])
        return self.get(name, hint if get_origin(hint) is None else dict)

    def _items(self, name: str, kind: type) -> tuple[Any, ...]:
        if kind is str:
            return self.texts(name)
        return self.ints(name) if kind is int else tuple(self.get(name, list))

    def make(self, kind: Callable[..., T], **values: Any) -> T:
        """Call `kind` with values; a CheckpointError that it raises gets the file's name."""
        try:
            return kind(**values)
        except CheckpointError as error:
            raise CheckpointError(f"{self.file}: {error}") from error

    def ints(self, path: str, default: tuple[int, ...] = REQUIRED) -> tuple[int, ...]:
        """Return a list of whole numbers."""
        if default is not REQUIRED and self.get(path, list, []) == []:
            return default
        values = self.get(path, list)
        if not all(type(value) is int for value in values):
            raise CheckpointError(f"{self.file}: {path} is {values!r}, but it must be numbers")
        return tuple(values)

    def texts(self, path: str) -> tuple[str, ...]:
        """Return a list of texts."""
        values = self.get(path, list)
        if not all(isinstance(value, str) for value in values):
            raise CheckpointError(f"{self.file}: {path} is {values!r}, but it must be words")
        return tuple(values)

    def expect(self, path: str, allowed: object) -> None:
        """Raise CheckpointError for a setting that this code does not support.

        A missing field has the supported value.
        """
        value = self.get(path, object, allowed)
        if value != allowed:
            raise CheckpointError(
                f"{self.file}: {path} is {value!r}; only {allowed!r} is supported, "
                "so this checkpoint cannot be loaded"
            )


def read_json(file: Path) -> Fields:
    """Read the object in a JSON file.

    Raises:
        CheckpointError: If the file cannot be read, or has no object.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{file}: cannot be read as JSON ({error}); run `toccata models remove NAME`, then "
            "`toccata models pull NAME`"
        ) from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: must hold a JSON object, not {type(values).__name__}")
    return Fields(file, values)


def shard_files(index: Path) -> list[Path]:
    """Return the safetensors files that an index of sharded weights names.

    Raises:
        CheckpointError: If the index is damaged, or names a file in another folder.
    """
    names = read_json(index).get("weight_map", dict).values()
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(SHARD):
            raise CheckpointError(f"{index}: {name!r} is no file beside it; nothing was read")
    return [index.parent / name for name in sorted(set(names))]
