"""The commands of `toccata`, in the order of its help."""

from __future__ import annotations

from typing import Annotated

import typer

from toccata import __version__
from toccata.cli import bench, encode_decode, generate, measure
from toccata.cli.info import info
from toccata.cli.models import convert, models
from toccata.cli.report import show
from toccata.cli.serve import EXAMPLES as SERVE_EXAMPLES
from toccata.cli.serve import serve
from toccata.cli.train import train

_EPILOG = """
Examples:

  toccata generate "lo-fi beat, 80 bpm, mellow piano" -d 12 -o beat.wav

  toccata generate --help

Exit codes: 0 success, 2 wrong value, 3 audio file, 4 model file, 5 missing optional dependency,
6 generation failed, 130 stopped by Ctrl-C, 1 other errors.
"""

# Help is plain text, because importing rich takes as long as all other imports.
app = typer.Typer(
    help="Generate music from a description, from audio to continue, or along a melody.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(requested: bool) -> None:
    if requested:
        show(f"toccata {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Show the traceback of errors. Can stand anywhere on the line."
        ),
    ] = False,
) -> None:
    """Options of the program; `main` handles --debug before this is called."""


app.command(epilog=generate.EXAMPLES)(generate.generate)
app.command("encode-decode", epilog=encode_decode.EXAMPLES)(encode_decode.encode_decode)
app.add_typer(models, name="models")
app.command(epilog=SERVE_EXAMPLES)(serve)
app.command()(convert)
app.command()(info)
app.add_typer(train, name="train")
app.command(epilog=measure.EXAMPLES)(measure.measure)
app.command(epilog=bench.EXAMPLES)(bench.bench)
