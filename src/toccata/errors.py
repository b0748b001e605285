"""The exceptions of toccata.

ToccataError
├── InputError            an input value is invalid                     exit 2, HTTP 422
│   └── InputErrors       all problems of one request at once
├── AudioError            a file cannot be read or written as audio     exit 3, HTTP 422
├── CheckpointError       a model file is missing, damaged or hostile   exit 4, HTTP 503
│   └── UnknownModelError no model of that name
├── MissingExtraError     an optional part is not installed             exit 5, HTTP 501
├── GenerationError       a request failed while it ran                 exit 6, HTTP 500
├── ClosedError           a model was used after it was closed          exit 1, HTTP 500
├── MeasurementError      a benchmark did not finish                    exit of its process
└── CancelledError        the user stopped it                           exit 130, HTTP 499

Exceptions that only the server raises are defined in the server.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

_SHOWN_CHARACTERS = 60


class ToccataError(Exception):
    """Base of all exceptions; its message names the field or file, the value and a cure."""

    exit_code = 1
    http_status = 500


class InputError(ToccataError):
    """An input value is invalid; `field` is its name in the interface that the user uses."""

    exit_code = 2
    http_status = 422

    def __init__(self, field: str, value: object, allowed: str, problem: str | None = None) -> None:
        """Build a message of two parts, "{field} {problem}; {allowed}".

        Args:
            field: The name of the field, flag or file.
            value: The invalid value; None if it is missing.
            allowed: The allowed values, or the cure.
            problem: What is wrong. None is "is missing" without a value, and "VALUE is not valid"
                with one.
        """
        if problem is None and value is not None:
            problem = f"{value!r} is not valid"
            self._joint = ": "
        else:
            problem = problem or "is missing"
            self._joint = " "
        super().__init__(f"{field}{self._joint}{problem}; {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed
        self.problem = problem

    def renamed(self, field: str) -> InputError:
        """The same error with another name for its field."""
        implied = self.problem if self._joint == " " else None
        return InputError(field, self.value, self.allowed, implied)

    def sentence(self, rename: Callable[[str], str]) -> str:
        """Return the message with the names of fields in another interface.

        Args:
            rename: Replaces names of fields in a text.
        """
        return f"{rename(self.field)}{self._joint}{self.problem}; {rename(self.allowed)}"


class InputErrors(InputError):
    """All problems of one request, in the order of its fields."""

    def __init__(self, problems: Sequence[InputError]) -> None:
        first = problems[0]
        super().__init__(first.field, first.value, first.allowed, first.problem)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class AudioError(ToccataError):
    """A file cannot be read or written as audio."""

    exit_code = 3
    http_status = 422


class CheckpointError(ToccataError):
    """A model file is missing, truncated, wrong-shaped or hostile; the message names the file."""

    exit_code = 4
    http_status = 503


class UnknownModelError(CheckpointError):
    """No model of that name; the message lists the known ones."""


class MissingExtraError(ToccataError):
    """An optional dependency is not installed; the message names the extra."""

    exit_code = 5
    http_status = 501


class GenerationError(ToccataError):
    """A request failed while it ran, for example because its logits were not finite."""

    exit_code = 6
    http_status = 500


class ClosedError(ToccataError):
    """A model was used after it was closed."""


class MeasurementError(ToccataError):
    """A benchmark did not finish; the message is the output of its process."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = max(code, 1)  # the code of a killed process is negative


class CancelledError(ToccataError):
    """The user stopped the request before it was done."""

    exit_code = 130
    http_status = 499


def check_path(field: str, path: str | os.PathLike[str]) -> None:
    """Raise InputError for a path that no system call accepts: an empty or a too long one."""
    text = os.fspath(path)
    if text == "":
        raise InputError(field, "", "give the name of a file or folder", "is an empty text")
    try:
        os.stat(text)  # noqa: PTH116 - Path.stat would hide these errors
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
            cure = "give a shorter one"
            problem = f"is a name that is too long for this system: {shown!r}"
            raise InputError(field, shown, cure, problem) from error
    except ValueError:
        pass  # it has a NUL; opening the file raises a better error
