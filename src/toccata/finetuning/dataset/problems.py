"""Gather errors to report them together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toccata.errors import InputError, InputErrors


class Problems:
    """A list of errors that are raised together."""

    def __init__(self) -> None:
        self._found: list[InputError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Keep InputErrors of the block for later."""
        try:
            yield
        except InputErrors as errors:
            self._found += errors.problems
        except InputError as error:
            self._found.append(error)

    def add(self, field: str, value: object, cure: str) -> None:
        """Add an error; the arguments are those of InputError."""
        self._found.append(InputError(field, value, cure))

    def raise_all(self) -> None:
        """Raises InputErrors if there are any."""
        if self._found:
            raise InputErrors(self._found)
