"""The commands `toccata models` and `toccata convert`, which manage weights on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from toccata import settings
from toccata.cli import completion, flags
from toccata.cli.places import check_new_folder
from toccata.cli.report import say, show, show_json, working

# The sizes of the language models by their authors, for models that are not on this machine.
PARAMETERS = {
    **dict.fromkeys(("small", "stereo-small"), "300 M weights"),
    **dict.fromkeys(("medium", "melody", "stereo-medium", "stereo-melody"), "1.5 B weights"),
    **dict.fromkeys(("large", "melody-large"), "3.3 B weights"),
    **dict.fromkeys(("stereo-large", "stereo-melody-large"), "3.3 B weights"),
    "style": "1.5 B weights",
}
_LINE = "{:<21}{:<18}{:<10}{:<15}{:<14}{}"

models = typer.Typer(no_args_is_help=True, help="List, download and remove the weights of models.")

Name = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="Short name or hub id of a model.", autocompletion=completion.models
    ),
]


@models.command("list")
def list_(*, json: flags.Json = False) -> None:
    """List the models with short names, and all others on this machine."""
    from toccata.models import KNOWN, hub

    cached = hub.cached()
    named = {known.hub_id for known in KNOWN.values()}
    if not json:
        show(_LINE.format("name", "follows", "channels", "size", "licence", "here"))
    for name in (*KNOWN, *(other for other in cached if other not in named)):
        row = _description(name, cached)
        if json:
            show_json(row)
            continue
        size = _size(row["size_bytes"]) or PARAMETERS.get(name, "-")
        here = "yes" if row["path"] else "no"
        channels, licence = row["channels"] or "?", row["licence"] or "see the hub"
        show(_LINE.format(name, row["follows"], channels, size, licence, here))


@models.command()
def info(model: Name, *, json: flags.Json = False) -> None:
    """Show the source, size and licence of a model."""
    from toccata.models import hub

    row = _description(model, hub.cached())
    if json:
        show_json(row)
        return
    for name, value in row.items():
        show(f"{name}: {'-' if value is None else value}")


@models.command()
def pull(model: Name) -> None:
    """Download a model from the hub; an interrupted download is resumed."""
    show(str(fetch(model, offline=settings.read().offline)))


@models.command()
def remove(model: Name) -> None:
    """Remove the downloaded weights of a model from this machine."""
    from toccata.models import hub, resolve

    freed_bytes = hub.remove(resolve(model).hub_id)
    say(f"{model}: {freed_bytes / 2**20:.0f} MiB removed")


def convert(
    model: Annotated[
        str,
        typer.Argument(
            help="Short name, hub id or folder of a model.", autocompletion=completion.models
        ),
    ],
    folder: Annotated[Path, typer.Argument(help="New or empty folder for the model.")],
    *,
    precision: flags.Full = "fp32",
    lora: flags.Lora = None,
    offline: flags.Offline = None,
) -> None:
    """Write a model with all its parts to one folder of safetensors.

    Example: toccata convert melody melody-folder
    """
    from toccata.models.checkpoints.native import write as save_model
    from toccata.models.loading import load_model

    machine = settings.read(device="cpu", precision=precision, offline=offline, lora=lora)
    check_new_folder(folder, "folder")
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


def _description(model: str, cached: Mapping[str, int]) -> dict[str, Any]:
    """Describe a model; size_bytes is its size on this machine, None if it is not there."""
    from toccata.models import hub, resolve

    known = resolve(model)
    path = hub.find(known.hub_id)
    size_bytes = cached.get(known.hub_id) if known.hub_id else _folder_bytes(path)
    licence = hub.licence_of(known.hub_id)
    return {**asdict(known), "path": path, "size_bytes": size_bytes, "licence": licence}


def _folder_bytes(path: str | None) -> int | None:
    """Return the size of a folder's files; None if there is no folder."""
    if path is None or not Path(path).is_dir():
        return None
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return ""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.3g} {unit}"
    return f"{size_bytes} B"


def fetch(model: str, *, offline: bool) -> Path:
    """Download a model and its parts from other repositories, unless they are on this machine.

    Args:
        model: A short name or a hub id.
        offline: Whether nothing may be downloaded.

    Returns:
        The folder of the model.

    Raises:
        UnknownModelError: If there is no model of this name.
        CheckpointError: If a part cannot be downloaded.
    """
    from toccata.models import hub, resolve
    from toccata.models.loading import parts_elsewhere

    with working(f"fetching {model}") as advance:
        folder = hub.fetch(resolve(model).hub_id, offline=offline, on_bytes=advance)
        for part in parts_elsewhere(folder):
            hub.fetch(part, offline=offline, on_bytes=advance)
    return folder
