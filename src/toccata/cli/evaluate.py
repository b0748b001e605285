"""`toccata eval`: what a model's music is worth, in figures."""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from toccata import settings
from toccata.cli import completion, flags, session
from toccata.cli.places import check_folder, check_new
from toccata.cli.report import say, show_costly, working

Name = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A short name, hub id or folder.",
        autocompletion=completion.models,
    ),
]
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
    overwrite: flags.Overwrite = False,
    lora: flags.Lora = None,
    json: flags.Json = False,
) -> None:
    """Measure a model on songs it never heard: does it heed words, melodies and beginnings."""
    from toccata.evaluation import bars, folder, suite

    machine = settings.read(lora=lora)
    if report is not None:
        _check_report(report, folder.NAMES, overwrite=overwrite)
    with session.announcing(machine.device) as announce:
        opened = session.open_model(machine, model, announce)
        with working("measuring"):
            found = suite.evaluate(opened, clips, on_stage=say)
    figures = found.report.to_json()
    lines = [bars.table(found.report), *(f"{name}: {value}" for name, value in figures.items())]
    text = dumps(figures, ensure_ascii=False) if json else "\n".join(lines)
    # First, because what is on stdout is not lost if the report cannot be written.
    show_costly(text, "evaluation.json" if json else "evaluation.txt")
    if report is not None:
        for path in folder.write(report, found.report, found.points):
            say(str(path))


def _check_report(report: Path, names: Sequence[str], *, overwrite: bool) -> None:
    """Raises InputError unless the files of a report can be written, before half an hour's work."""
    report.mkdir(parents=True, exist_ok=True)
    check_folder(report, "report")
    for name in names:
        check_new(report / name, "report", overwrite=overwrite)
