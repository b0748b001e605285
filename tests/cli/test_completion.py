"""What the shell completes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from toccata.cli.inputs import INPUTS


def completed(words: str) -> list[str]:
    """What bash would offer for the last of `words`."""
    parts = words.split(" ")
    environment = {
        **os.environ,
        "_TOCCATA_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(parts) - 1),
    }
    code = "from toccata.cli.app import app; app(prog_name='toccata')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("toccata generate --model mel", ["melody", "melody-large"]),
        ("toccata generate --normalization-strategy ", ["loudness", "clip", "peak", "rms"]),
        ("toccata generate --precision in", ["int8", "int4"]),
        ("toccata models pull styl", ["style"]),
        ("toccata bench --shape ti", ["tiny"]),
        ("toccata bench --precision fp32,bf", ["fp32,bf16"]),
        ("toccata measure --with agreement,cl", ["agreement,clap"]),
    ],
)
def test_values_are_offered(words: str, offered: list[str]) -> None:
    assert completed(words) == offered


def test_every_enumeration_has_values() -> None:
    import typer

    from toccata.cli.app import app

    program = typer.main.get_command(app)
    parameters = {one.name: one for one in program.commands["generate"].params}  # type: ignore[attr-defined]
    for field in INPUTS.fields:
        if field.choices:
            offered = parameters[field.name]._custom_shell_complete
            assert offered is not None


def test_what_is_written_down_is_what_there_is() -> None:
    from toccata.cli import completion
    from toccata.evaluation.measure import MEASURES

    assert tuple(MEASURES) == completion.MEASURES
