"""The command line. Nothing here imports torch before a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer

from toccata.cli.app import app
from toccata.cli.report import flushed, say, say_what_can_be_said
from toccata.cli.wording import Flags
from toccata.errors import ToccataError
from toccata.settings import wait_passively

__all__ = ["app", "main", "run"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `toccata`. `--debug`, anywhere on the line, shows where an error came from."""
    run(app, "toccata", arguments)


def run(commands: typer.Typer, program: str, arguments: Sequence[str] | None = None) -> None:
    """Run a command line and leave the process with the exit code of what happened.

    Args:
        commands: All commands of the program.
        program: Its name in help texts.
        arguments: What stands behind the name; None: those of this process.
    """
    wait_passively()
    say_what_can_be_said()
    with _written_out():
        _run(commands, program, arguments)


@contextmanager
def _written_out() -> Iterator[None]:
    """Leave with code 1 in place of 0 if something that was said could not be written."""
    try:
        yield
    except SystemExit as ended:
        whole = [flushed(stream) for stream in (sys.stdout, sys.stderr)]
        if not all(whole) and not ended.code:
            sys.exit(1)
        raise


def _run(commands: typer.Typer, program: str, arguments: Sequence[str] | None) -> None:
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    command = typer.main.get_command(commands)
    try:
        command([part for part in given if part != "--debug"], prog_name=program)
    except ToccataError as error:
        if debug:
            raise
        for sentence in Flags(command, given).sentences(error):
            say(f"error: {sentence}")
        sys.exit(error.exit_code)
    except OSError as error:
        if debug:
            raise
        say(f"error: {error}")
        sys.exit(1)
