"""All that is wrong with a folder, said at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toccata.errors import InputError, InputErrors


class Problems:
    """Gathers errors, to raise them together."""

    def __init__(self) -> None:
        self._found: list[InputError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """What is wrong in here is kept for later."""
        try:
            yield
        except InputErrors as errors:
            self._found += errors.problems
        except InputError as error:
            self._found.append(error)

    def add(self, field: str, value: object, cure: str) -> None:
        self._found.append(InputError(field, value, cure))

    def raise_all(self) -> None:
        """Raises InputErrors if anything was wrong."""
        if self._found:
            raise InputErrors(self._found)
