"""`toccata eval`: what a model's music is worth, in figures."""

from __future__ import annotations

from typing import Annotated

import typer

from toccata import settings
from toccata.cli import flags, session
from toccata.cli.report import interruptible, say, show, show_json

Name = Annotated[str, typer.Argument(metavar="MODEL", help="A short name, hub id or folder.")]
Clips = Annotated[int, typer.Option(min=1, help="Clips per measure.")]

EXAMPLES = """
It needs the extra train and a soundfont: the held-out songs are played on the spot. Example:

  toccata eval mini --clips 24 --json
"""


def evaluate(model: Name = "mini", *, clips: Clips = 24, json: flags.Json = False) -> None:
    """Measure a model on songs it never heard: tempo, drums, melody, continuation, codec."""
    from toccata.evaluation import suite

    opened = session.open_model(settings.read(), model)
    with interruptible("measuring"):
        report = suite.evaluate(opened, clips, on_stage=say).to_json()
    if json:
        show_json(report)
        return
    for name, figure in report.items():
        show(f"{name}: {figure}")
