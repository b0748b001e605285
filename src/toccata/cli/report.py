"""What the user sees while a command works. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import typer

from toccata.errors import CancelledError


class Advance(Protocol):
    """Told how much is done, of how much in all, and what is done now if that changes."""

    def __call__(self, done: int, total: int, doing: str | None = None) -> None: ...


def say(text: str) -> None:
    """A line for a person."""
    typer.echo(text, err=True)


def show(text: str) -> None:
    """A line of the result."""
    typer.echo(text)


def show_json(result: Mapping[str, object] | Sequence[Mapping[str, object]]) -> None:
    """One result, or a list of them that belong together, as one line of JSON."""
    typer.echo(json.dumps(result, ensure_ascii=False))


@contextmanager
def interruptible(doing: str) -> Iterator[None]:
    """Ctrl-C in the block becomes a CancelledError."""
    try:
        yield
    except KeyboardInterrupt:
        raise CancelledError(f"stopped while {doing}") from None


@contextmanager
def working(doing: str) -> Iterator[Advance]:
    """Show a bar with the time left while the block runs, if a person is watching.

    The block may report how far it is; until it does, the bar only pulses.
    """
    with interruptible(doing):
        if not sys.stderr.isatty():
            yield _unseen
            return
        with _bar(doing) as advance:
            yield advance


def _unseen(done: int, total: int, doing: str | None = None) -> None:
    """Nobody is watching."""


@contextmanager
def _bar(label: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        task = bars.add_task(label, total=None)

        def advance(done: int, total: int, doing: str | None = None) -> None:
            bars.update(task, completed=done, total=total, description=doing)

        yield advance
