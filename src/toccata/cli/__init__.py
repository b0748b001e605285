"""The command line, which does not import torch before a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer

from toccata.cli.app import app
from toccata.cli.report import escape_unencodable, flushed, say
from toccata.cli.wording import Flags
from toccata.errors import ToccataError
from toccata.settings import wait_passively

__all__ = ["app", "main", "run"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `toccata`; with `--debug` anywhere on the line, errors have their traceback."""
    run(app, "toccata", arguments)


def run(commands: typer.Typer, program: str, arguments: Sequence[str] | None = None) -> None:
    """Run a command line, and exit the process with its exit code.

    Args:
        commands: All commands of the program.
        program: Its name in help texts.
        arguments: The arguments; None for those of this process.
    """
    wait_passively()
    escape_unencodable()
    with _written_out():
        _run(commands, program, arguments)


@contextmanager
def _written_out() -> Iterator[None]:
    """Exit with code 1 instead of 0 if some output could not be written."""
    try:
        yield
    except SystemExit as ended:
        written = [flushed(stream) for stream in (sys.stdout, sys.stderr)]
        if not all(written) and not ended.code:
            sys.exit(1)
        raise


def _run(commands: typer.Typer, program: str, arguments: Sequence[str] | None) -> None:
    parts = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in parts
    command = typer.main.get_command(commands)
    try:
        command([part for part in parts if part != "--debug"], prog_name=program)
    except ToccataError as error:
        if debug:
            raise
        for sentence in Flags(command, parts).sentences(error):
            say(f"error: {sentence}")
        sys.exit(error.exit_code)
    except OSError as error:
        if debug:
            raise
        say(f"error: {error}")
        sys.exit(1)
