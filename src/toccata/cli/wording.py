"""Word errors for the command line, with options in place of field names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from toccata.cli.results import CombinedError
from toccata.errors import InputError, InputErrors, ToccataError

# Fields of the library whose flags have other names; a command has at most one of these.
_SYNONYMS = {
    "model_version": ("model",),
    "held_out_share": ("held_out",),
}
_UNITS = ("_s", "_kbps")
_OF_ITEM = re.compile(r"^wanted\[\d+\](?:\.|: )")  # the prefix of an item of a batch
_FIELD = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


class Flags:
    """The flags of the command that a command line names.

    Args:
        program: The program's command, as typer returns it.
        arguments: The arguments of the command line.
    """

    def __init__(self, program: Any, arguments: Sequence[str]) -> None:
        self._arguments = {part.partition("=")[0] for part in arguments}
        self._flags: dict[str, str] = {}
        for parameter in _command(program, arguments).params:
            names = [name for name in parameter.opts if name.startswith("--")]
            typed = [name for name in names if name in self._arguments]
            for name in names:
                self._flags[name[2:].replace("-", "_")] = (typed or names)[0]

    def sentences(self, error: ToccataError) -> list[str]:
        """Return the messages of all problems of an error, with flags in place of fields."""
        return list(dict.fromkeys(self._sentence(problem) for problem in _single(error)))

    def _sentence(self, problem: ToccataError) -> str:
        if isinstance(problem, InputError):
            return problem.sentence(self._renamed)
        return _OF_ITEM.sub("", str(problem))

    def _renamed(self, text: str) -> str:
        text = _OF_ITEM.sub("", text)
        if text in self._flags or self._flag(text) != text:
            return self._flag(text)
        return _FIELD.sub(lambda match: self._flag(match[0]), text)

    def _flag(self, field: str) -> str:
        plain = field.replace("-", "_")
        names = [plain, *_SYNONYMS.get(plain, ())]
        names += [plain.removesuffix(unit) for unit in _UNITS]
        return next((self._flags[name] for name in names if name in self._flags), field)


def _single(error: ToccataError) -> Iterator[ToccataError]:
    """Yield the problems of a combined error, or the error itself."""
    if isinstance(error, InputErrors | CombinedError):
        for problem in error.problems:
            yield from _single(problem)
    else:
        yield error


def _command(program: Any, arguments: Sequence[str]) -> Any:
    """Return the innermost command that the arguments name."""
    command = program
    for part in arguments:
        if part.startswith("-"):
            continue
        found = getattr(command, "commands", {}).get(part)
        if found is None:
            break
        command = found
    return command
