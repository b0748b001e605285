"""`toccata eval`: what a model's music is worth, in figures."""

from __future__ import annotations

from typing import Annotated

import typer

from toccata.cli import flags
from toccata.cli.report import interruptible, show, show_json

evaluate = typer.Typer(no_args_is_help=True, help="Measure the music of a model.")

Clips = Annotated[int, typer.Option(min=1, help="Clips per measure.")]


@evaluate.command()
def mini(*, clips: Clips = 20, json: flags.Json = False) -> None:
    """Measure the embedded model on clips it never saw."""
    from toccata.evaluation import suite

    with interruptible("measuring"):
        figures = suite.evaluate(clips=clips)
    if json:
        show_json(figures)
        return
    for name, figure in figures.items():
        show(f"{name}: {figure}")
