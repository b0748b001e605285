"""Flags for settings, made from their declarations in `toccata.settings`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from toccata.cli import completion
from toccata.settings import Setting, common_settings

METAVARS = {int: "INTEGER", float: "NUMBER", Path: "PATH", bool: None}
MAX_LISTED = 5  # choices; more of them are in the help text
_COMPLETIONS = {
    "model": completion.models,
    "models": completion.lists_of(completion.MODELS),
    "stand_in": completion.models,
    "device": completion.devices,
    "precision": completion.precisions,
}


def option(name: str) -> Any:
    """The option of a setting that every command has."""
    return _option(next(one for one in common_settings() if one.name == name))


def takes_settings(settings: Iterable[Setting]) -> Callable[[Callable[..., None]], Any]:
    """Give a command a flag for each setting; it gets their values by name as `given`."""
    parameters = [_parameter(one) for one in settings]

    def decorate(command: Callable[..., None]) -> Any:
        @functools.wraps(command)
        def with_flags(**given: Any) -> None:
            command(given)

        with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_flags.__annotations__ = {one.name: one.annotation for one in parameters}
        return with_flags

    return decorate


def _parameter(setting: Setting) -> inspect.Parameter:
    """Values stay text until `settings.read`, which checks variables alike."""
    kind: Any = str
    if setting.kind is bool:
        kind = bool
    elif setting.about.is_repeatable:
        kind = list[str]
    annotation = Annotated[kind | None, _option(setting)]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(setting.name, keyword, default=None, annotation=annotation)


def _option(setting: Setting) -> Any:
    choices = setting.about.choices
    listed = "|".join(choices) if len(choices) <= MAX_LISTED else ""
    return typer.Option(
        *setting.flags,
        metavar=setting.about.metavar or listed or METAVARS.get(setting.kind, "TEXT"),
        help=_help(setting),
        autocompletion=_COMPLETIONS.get(setting.name, completion.of(choices) if choices else None),
    )


def _help(setting: Setting) -> str:
    limits = f" {setting.limits.capitalize()}." if setting.limits else ""
    default = setting.default_in_words
    return f"{setting.about.text}{limits}" + (default and f" Default: {default}.")
