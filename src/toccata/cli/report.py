"""Messages and progress for the user; results go to stdout, everything else to stderr."""

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

# The seconds between two lines of progress without a terminal: in the first minutes, and later.
LINE_S, LATER_LINE_S, FIRST_MINUTES_S = 10.0, 60.0, 300.0


class Advance(Protocol):
    """Reports progress: how much is done, the total, and the current work if it has changed."""

    def __call__(self, done: int, total: int, doing: str | None = None) -> None: ...


def say(text: str) -> None:
    """Write a message to stderr; if that fails, the error is ignored."""
    try_to_say(text)


def try_to_say(text: str) -> str:
    """Write a message to stderr.

    Returns:
        The reason if it could not be written, else "", also if stderr is closed.
    """
    try:
        typer.echo(text, err=True)
    except OSError as error:
        return f"stderr: cannot be written ({error.strerror or error})"
    return ""


def show(text: str) -> None:
    """Write a line of the result to stdout.

    Raises:
        OSError: If stdout cannot be written, or is closed.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed")
    typer.echo(text)


def one_line(text: str) -> str:
    """Escape control characters and line breaks in a text of another source.

    They could control the terminal, or look like separate lines of output.
    """
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether `stream` is a terminal; it is None if it is closed."""
    return stream is not None and stream.isatty()


def flushed(stream: TextIO | None) -> bool:
    """Flush `stream`; if that fails, drop its buffer, which would fail again when Python exits.

    Returns:
        Whether it was written.
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
    """Write a result, or a list of results, as one line of JSON."""
    show(json.dumps(result, ensure_ascii=not _is_utf8(sys.stdout)))


def escape_unencodable() -> None:
    """Let stdout and stderr escape characters that their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_utf8(stream: TextIO | None) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"


def show_costly(text: str, name: str) -> None:
    """Write a result that took minutes to stdout, or if that fails to a file.

    Args:
        text: The result.
        name: The name of the file.

    Raises:
        ToccataError: If stdout could not be written; the message names the file.
    """
    try:
        show(text)
        sys.stdout.flush()
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader has closed the pipe, such as head
            raise
        from toccata.cli.places import save_elsewhere

        saved = save_elsewhere(name, f"{text}\n".encode())
        reason = error.strerror or error
        lost = f"stdout: cannot be written ({reason}); the result is saved in {saved}"
        raise ToccataError(lost) from error


@contextmanager
def interruptible(doing: str) -> Iterator[None]:
    """Convert Ctrl-C in the block to a CancelledError."""
    try:
        yield
    except KeyboardInterrupt:
        raise CancelledError(f"stopped while {doing}") from None


class Stop:
    """A flag that is set if the user stops the work while a result is written.

    The result is written first.
    """

    def __init__(self) -> None:
        self.is_set = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Delay Ctrl-C and SIGTERM until the block has ended; a second one stops it at once."""
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
    """Handle SIGTERM in the block as Ctrl-C, so that finished results are kept and reported."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def working(doing: str, began_s: float | None = None) -> Iterator[Advance]:
    """Show a progress bar with the time left while the block runs, or lines without a terminal.

    The block may report its progress; until it does, the bar only pulses.

    Args:
        doing: The work of the block.
        began_s: When the work began, by time.monotonic, if it began before the block.
    """
    shown = _bar if is_terminal(sys.stderr) else lines
    with interruptible(doing), shown(doing, began_s) as advance:
        yield advance


@dataclass
class _Progress:
    """The progress of some work, and its line of text."""

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
    """Write the progress of the block as lines from time to time, from a background thread.

    It is for blocks that write other lines to the terminal, which a bar would disturb.
    """
    progress, ended = _Progress(label, began_s or time.monotonic()), threading.Event()
    thread = threading.Thread(target=_report, args=(progress, ended), daemon=True)
    thread.start()
    try:
        yield progress.advance
    finally:
        ended.set()
        thread.join()


def _report(progress: _Progress, ended: threading.Event) -> None:
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
