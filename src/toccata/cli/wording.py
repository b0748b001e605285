"""Word errors for the command line: options in place of field names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from toccata.cli.results import CombinedError
from toccata.errors import InputError, InputErrors, ToccataError

# Fields of the library whose flags are called otherwise; a command has one of these at most.
_SYNONYMS = {
    "model_version": ("model",),
    "held_out_share": ("held_out",),
}
_UNITS = ("_s", "_kbps")
_OF_ITEM = re.compile(r"^wanted\[\d+\](?:\.|: )")  # of a batch, which the library counts
_FIELD = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


class Flags:
    """The flags of the command that a command line names.

    Args:
        program: The program's command, as typer makes it.
        arguments: What was given to it.
    """

    def __init__(self, program: Any, arguments: Sequence[str]) -> None:
        self._given = {part.partition("=")[0] for part in arguments}
        self._flags: dict[str, str] = {}
        for parameter in _command(program, arguments).params:
            names = [name for name in parameter.opts if name.startswith("--")]
            typed = [name for name in names if name in self._given]  # of several for one field
            for name in names:
                self._flags[name[2:].replace("-", "_")] = (typed or names)[0]

    def sentences(self, error: ToccataError) -> list[str]:
        """Every problem that `error` holds once, with flags in place of the library's fields."""
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
    """The problems that `error` holds, or itself."""
    if isinstance(error, InputErrors | CombinedError):
        for problem in error.problems:
            yield from _single(problem)
    else:
        yield error


def _command(program: Any, arguments: Sequence[str]) -> Any:
    """The innermost command that `arguments` name."""
    command = program
    for part in arguments:
        if part.startswith("-"):
            continue
        found = getattr(command, "commands", {}).get(part)
        if found is None:
            break
        command = found
    return command
