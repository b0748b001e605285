"""`toccata eval`: what a model's music is worth, in figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toccata import settings
from toccata.cli import flags, session
from toccata.cli.report import interruptible, say, show, show_json

Name = Annotated[str, typer.Argument(metavar="MODEL", help="A short name, hub id or folder.")]
Clips = Annotated[int, typer.Option(min=4, help="Clips per question.")]
Folder = Annotated[
    Path | None,
    typer.Option("--report", file_okay=False, help="Write the figures, a table and plots there."),
]

EXAMPLES = """
It needs the synthesizer tinysoundfont and a soundfont: the held-out songs are played on the spot.
For mini it takes a quarter to half an hour on two cores, by their speed. Examples:

  toccata eval mini --json

  toccata eval mini --clips 24 --report evaluation
"""


def evaluate(
    model: Name = "mini",
    *,
    clips: Clips = 200,
    report: Folder = None,
    lora: flags.Lora = None,
    json: flags.Json = False,
) -> None:
    """Measure a model on songs it never heard: does it heed words, melodies and beginnings."""
    from toccata.evaluation import bars, folder, suite

    opened = session.open_model(settings.read(lora=lora), model)
    with interruptible("measuring"):
        found = suite.evaluate(opened, clips, on_stage=say)
    if report is not None:
        for path in folder.write(report, found.report, found.points):
            say(str(path))
    if json:
        show_json(found.report.to_json())
        return
    show(bars.table(found.report))
    for name, figure in found.report.to_json().items():
        show(f"{name}: {figure}")
