"""Read settings from flags and TOCCATA_ variables.

A flag wins over its variable, which wins over the default. A TOCCATA_ variable that does not exist
is an error, because it is probably misspelt.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from toccata.errors import InputError, InputErrors
from toccata.settings import checks
from toccata.settings.declaration import KINDS, PREFIX, Setting, settings_of
from toccata.settings.machine import Settings
from toccata.settings.serving import ServerSettings

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAX_SHOWN = 60  # characters of a wrong value in an error


def common_settings() -> tuple[Setting, ...]:
    """The settings that every command reads."""
    return tuple(one for one in settings_of(Settings) if not one.about.is_of_server)


def server_settings() -> tuple[Setting, ...]:
    """The settings that only `toccata serve` reads."""
    of_machine = tuple(one for one in settings_of(Settings) if one.about.is_of_server)
    return (*settings_of(ServerSettings), *of_machine)


def read(
    environment: Mapping[str, str] | None = None,
    lora: Sequence[str] | None = None,
    **flags: object,
) -> Settings:
    """Read the settings that every command has.

    Args:
        environment: The variables; None: those of this process.
        lora: The values of `--lora`, which has no variable.
        flags: The values of other flags by name; None: not given.

    Raises:
        InputError: A variable or flag, its value and what is allowed.
        InputErrors: Several of them.
    """
    given = {**flags, "lora": lora or None}
    return Settings(**read_values(common_settings(), environment, given))


def read_values(
    settings: Iterable[Setting],
    environment: Mapping[str, str] | None,
    flags: Mapping[str, object],
) -> dict[str, Any]:
    """Read the values of those settings that are given, by field; arguments as in `read`."""
    environment = os.environ if environment is None else environment
    known = {one.name: one for one in settings}
    given: dict[str, tuple[str, object]] = {
        one.name: (one.variable, environment.get(one.variable)) for one in known.values()
    }
    given |= {name: (known[name].flag, text) for name, text in flags.items() if text is not None}
    values, problems = {}, _unknown(environment)
    for name, (source, text) in given.items():
        if text is not None:
            try:
                values[known[name].field] = checked(known[name], source, text)
            except InputError as problem:
                problems.append(problem)
    if problems:
        raise problems[0] if len(problems) == 1 else InputErrors(problems)
    return values


def _unknown(environment: Mapping[str, str]) -> list[InputError]:
    """The TOCCATA_ variables that no setting has, as errors."""
    known = [one.variable for one in (*common_settings(), *server_settings()) if one.variable]
    unknown = [name for name in environment if name.startswith(PREFIX) and name not in known]
    return [_no_variable(name, environment[name], known) for name in unknown]


def _no_variable(name: str, text: str, known: Sequence[str]) -> InputError:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "the variables are " + ", ".join(known)
    return InputError(name, text, hint, "is no variable that toccata reads")


def read_boolean(source: str, text: str) -> bool:
    """Read a text that says yes or no. Raises InputError, which names its source."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(bool).validate_python(text)
    except ValidationError:
        raise InputError(source, text, f"it must be {KINDS[bool]}") from None


def checked(setting: Setting, source: str, given: object) -> Any:
    """Convert and check a value.

    Args:
        setting: What it is for.
        source: The variable or flag that it was given by.
        given: A text, or several of a flag that may be repeated.

    Raises:
        InputError: Names the source, the value unless it is secret, and what is allowed.
    """
    from pydantic import ValidationError

    parts = _parts(setting, given)
    shown = "…" if setting.is_secret else str(given)[:MAX_SHOWN]
    if not all(part.strip() for part in parts):
        raise InputError(source, shown, "give a value, or leave it out")
    try:
        return _adapter(setting).validate_python(parts if setting.is_list else parts[0].strip())
    except ValidationError as error:
        own = error.errors()[0].get("ctx", {}).get("error")
        cure = str(own) if own else f"it must be {_one_of(setting)}{setting.allowed}"
        raise InputError(source, shown, cure) from None


def _parts(setting: Setting, given: object) -> list[str]:
    if isinstance(given, list | tuple):
        return [str(part) for part in given]
    if setting.is_list and not setting.about.is_repeatable:
        return str(given).split(",")
    return [str(given)]


def _one_of(setting: Setting) -> str:
    return "one of " if setting.about.choices else ""


def _adapter(setting: Setting) -> TypeAdapter[Any]:
    from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

    about = setting.about
    kind: Any = Literal[about.choices] if about.choices else setting.kind
    if kind is Path:
        kind = Annotated[kind, AfterValidator(checks.expanded)]
    if about.ge is not None:
        kind = Annotated[kind, Field(ge=about.ge, le=about.le)]
    if about.check is not None:
        kind = Annotated[kind, AfterValidator(about.check)]
    return TypeAdapter(kind, config=ConfigDict(str_strip_whitespace=True, allow_inf_nan=False))
