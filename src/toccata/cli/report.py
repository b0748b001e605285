"""Messages and progress for the user. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TextIO

import typer

from toccata.errors import CancelledError, ToccataError

# Seconds between two lines of progress without a terminal: in the first minutes, and later.
LINE_S, LATER_LINE_S, FIRST_MINUTES_S = 10.0, 60.0, 300.0


class Advance(Protocol):
    """Told how much is done, of how much in all, and what is done now if that changes."""

    def __call__(self, done: int, total: int, doing: str | None = None) -> None: ...


def say(text: str) -> None:
    """A line for a person. The work goes on where stderr cannot be written to."""
    try_to_say(text)


def try_to_say(text: str) -> str:
    """A line for a person, of which the caller must know whether it was said.

    Returns:
        Why it could not be said; nothing if it was, or if stderr is closed: nobody listens then.
    """
    try:
        typer.echo(text, err=True)
    except OSError as error:
        return f"stderr: cannot be written ({error.strerror or error})"
    return ""


def show(text: str) -> None:
    """A line of the result.

    Raises:
        OSError: If stdout cannot be written to, or is closed.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed")
    typer.echo(text)


def one_line(text: str) -> str:
    """A stranger's text with its control characters and line breaks as escapes.

    As they are, they could steer the terminal, or pass for lines of ours.
    """
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody watches `stream`; Python has None for one that is closed."""
    return stream is not None and stream.isatty()


def flushed(stream: TextIO | None) -> bool:
    """Write what `stream` still holds, or drop it: it would fail once more when Python ends.

    Returns:
        False if it was dropped.
    """
    if stream is None:
        return True
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return False
    return True


def show_json(result: Mapping[str, object] | Sequence[Mapping[str, object]]) -> None:
    """One result, or a list of them that belong together, as one line of JSON."""
    show(json.dumps(result, ensure_ascii=not _is_utf8(sys.stdout)))


def say_what_can_be_said() -> None:
    """Let stdout and stderr write what their encoding lacks as escapes: to fail there would lose
    the words about music that is made."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_utf8(stream: TextIO | None) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"


def show_costly(text: str, name: str) -> None:
    """Show a result that took minutes: where stdout cannot be written to, it is saved elsewhere.

    Args:
        text: The result.
        name: A file name for it.

    Raises:
        ToccataError: If stdout could not be written to; the message says where the result is.
    """
    try:
        show(text)
        sys.stdout.flush()
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader has closed the pipe, as head does
            raise
        from toccata.cli.places import save_elsewhere

        saved = save_elsewhere(name, f"{text}\n".encode())
        reason = error.strerror or error
        lost = f"stdout: cannot be written ({reason}); the result is saved in {saved}"
        raise ToccataError(lost) from error


@contextmanager
def interruptible(doing: str) -> Iterator[None]:
    """Ctrl-C in the block becomes a CancelledError."""
    try:
        yield
    except KeyboardInterrupt:
        raise CancelledError(f"stopped while {doing}") from None


class Stop:
    """Whether the user has stopped the work while a result was written, which is finished first."""

    def __init__(self) -> None:
        self.is_set = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM in the block stop the work after it; a second one ends it at once."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in before.items():
                if handler is not None:  # one that Python has not set
                    signal.signal(number, handler)

        def note(*_: object) -> None:
            self.is_set = True
            restore()

        for number, handler in before.items():
            if handler not in (None, signal.SIG_IGN):
                signal.signal(number, note)
        try:
            yield
        finally:
            restore()


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM in the block is as Ctrl-C: what is done by then is kept, and said."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def working(doing: str, began_s: float | None = None) -> Iterator[Advance]:
    """Show a bar with the time left while the block runs, or lines if there is no terminal.

    The block may report how far it is; until it does, the bar only pulses.

    Args:
        doing: What the block does.
        began_s: When the work began, by time.monotonic, if the block goes on with it.
    """
    shown = _bar if is_terminal(sys.stderr) else lines
    with interruptible(doing), shown(doing, began_s) as advance:
        yield advance


@dataclass
class _Progress:
    """How far some work is, as a line of text."""

    doing: str
    began_s: float
    done: int = 0
    total: int = 0

    def advance(self, done: int, total: int, doing: str | None = None) -> None:
        self.done, self.total, self.doing = done, total, doing or self.doing

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began_s

    def line(self) -> str:
        past = f"{_duration(self.elapsed_s)} so far"
        if not 0 < self.done < self.total:
            return f"{self.doing}: {past}"
        share = self.done / self.total
        left = _duration(self.elapsed_s * (1 - share) / share)
        return f"{self.doing}: {share:.0%}, {past}, about {left} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


@contextmanager
def lines(label: str, began_s: float | None = None) -> Iterator[Advance]:
    """Say how far the block is now and then, from a thread of its own.

    For blocks that write lines of their own, or whose reader does, where a bar is in the way.
    """
    progress, ended = _Progress(label, began_s or time.monotonic()), threading.Event()
    thread = threading.Thread(target=_tell, args=(progress, ended), daemon=True)
    thread.start()
    try:
        yield progress.advance
    finally:
        ended.set()
        thread.join()


def _tell(progress: _Progress, ended: threading.Event) -> None:
    while not ended.wait(LINE_S if progress.elapsed_s < FIRST_MINUTES_S else LATER_LINE_S):
        say(progress.line())


@contextmanager
def _bar(label: str, began_s: float | None) -> Iterator[Advance]:
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
        bars.tasks[0].start_time = began_s or time.monotonic()

        def advance(done: int, total: int, doing: str | None = None) -> None:
            bars.update(task, completed=done, total=total, description=doing)

        yield advance
