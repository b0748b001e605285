"""`toccata models` and `toccata convert`: the weights on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from toccata import settings
from toccata.cli import flags
from toccata.cli.fetch import fetch
from toccata.cli.report import say, show, show_json, working

models = typer.Typer(no_args_is_help=True, help="Find, fetch and remove the weights of models.")

Name = Annotated[str, typer.Argument(metavar="MODEL", help="A short name or a hub id.")]


@models.command("list")
def list_(*, json: flags.Json = False) -> None:
    """List the models that have short names, and all others that are on this machine."""
    from toccata import hub
    from toccata.families import KNOWN

    named = {known.hub_id for known in KNOWN.values()}
    for name in (*KNOWN, *(other for other in hub.cached() if other not in named)):
        row = _description(name)
        if json:
            show_json(row)
        else:
            here = "here" if row["path"] else "-"
            show(f"{name:<21}{row['follows']:<18}{row['channels'] or '?'} ch   {here}")


@models.command()
def info(model: Name, *, json: flags.Json = False) -> None:
    """Show what is known of a model."""
    row = _description(model)
    if json:
        show_json(row)
        return
    for name, value in row.items():
        show(f"{name}: {'-' if value is None else value}")


@models.command()
def pull(model: Name) -> None:
    """Fetch all that a model needs from the hub; an interrupted download goes on."""
    show(str(fetch(model, offline=settings.read().offline)))


@models.command()
def remove(model: Name) -> None:
    """Remove the fetched weights of a model from this machine."""
    from toccata import hub
    from toccata.families import resolve

    freed_bytes = hub.remove(resolve(model).hub_id)
    say(f"{model}: {freed_bytes / 2**20:.0f} MiB removed")


def convert(
    model: Annotated[str, typer.Argument(help="A short name, hub id or folder.")],
    folder: Annotated[Path, typer.Argument(help="Where to write: a new or an empty folder.")],
    *,
    precision: flags.Full = "fp32",
    lora: flags.Lora = None,
    offline: flags.Offline = None,
) -> None:
    """Write a model as one safetensors folder, which loads without anything else.

    Example: toccata convert melody melody-folder
    """
    from toccata.families.convert import save_model
    from toccata.families.musicgen import load_model

    machine = settings.read(device="cpu", precision=precision, offline=offline, lora=lora)
    with working(f"loading {model}"):
        loaded = load_model(
            model,
            device=machine.device,
            precision=machine.precision,
            offline=machine.offline or None,
            lora=machine.lora,
            as_trained=True,
        )
    with working(f"writing {folder}"):
        save_model(loaded, folder)
    show(str(folder))


def _description(model: str) -> dict[str, Any]:
    from toccata import hub
    from toccata.families import resolve

    known = resolve(model)
    return {**asdict(known), "path": hub.find(known.hub_id)}
