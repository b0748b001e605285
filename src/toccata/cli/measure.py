"""The command `toccata measure`, which computes metrics of audio files."""

from __future__ import annotations

from collections.abc import Iterator
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from toccata import settings
from toccata.cli import completion, flags
from toccata.cli.report import show_costly, working
from toccata.errors import InputError

EXAMPLES = """
Clips are compared with the reference of the same name; a distance (fad) needs no names. Captions
are NAME.txt or NAME.json beside a clip, or the prompt that toccata writes into its files. Examples:

  toccata measure --made clips --against songs

  toccata measure --made clips --against songs --with fad-vggish,clap --json

  toccata measure --made clips --with clap --captions texts
"""

Made = Annotated[Path, typer.Option(metavar="FOLDER", help="Clips to measure.")]
Against = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="References to compare them with.")
]
With = Annotated[
    str,
    typer.Option(
        "--with",
        metavar="NAME,NAME",
        help="Metrics: agreement, fad-clap, fad-vggish, kl-passt, clap.",
        autocompletion=completion.measures,
    ),
]
Captions = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Folder of captions. Default: that of clips.")
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=PLACE,...",
        help="Use other weights: clap=HUB_ID or FOLDER, vggish=FILE (.pth or .safetensors).",
    ),
]


def measure(
    *,
    made: Made,
    against: Against = None,
    measures: With = "agreement",
    captions: Captions = None,
    weights: Weights = None,
    device: flags.Device = None,
    json: flags.Json = False,
    offline: flags.Offline = None,
) -> None:
    """Compute metrics of audio files: FAD, KL over labels, CLAP score, and agreement.

    agreement compares tempo, key, notes and loudness of each clip with its reference, and needs no
    weights. fad-NAME is the Frechet audio distance of all clips from all references. kl-passt is
    the KL divergence of a classifier's labels of a clip and its reference. clap is the similarity
    of a clip and its caption.
    """
    from toccata.devices import pick_device
    from toccata.evaluation.measure import Plan
    from toccata.evaluation.measure import measure as measured

    machine = settings.read(device=device, offline=offline)
    plan = Plan(
        made=made,
        measures=[name.strip() for name in measures.split(",")],
        device=pick_device(machine.device),
        against=against,
        captions=captions,
        weights=_places(weights),
        offline=machine.offline,
    )
    with working("measuring") as advance:
        results = measured(plan, advance)
    if json:
        show_costly(dumps(results, ensure_ascii=False), "measures.json")
    else:
        show_costly("\n".join(_lines(results)), "measures.txt")


def _places(text: str | None) -> dict[str, str]:
    """Parse "clap=a,vggish=b" to a dict."""
    places = {}
    for part in text.split(",") if text else ():
        name, _, place = part.strip().partition("=")
        if not place:
            raise InputError(
                "weights", part, "write NAME=PLACE, as in clap=laion/larger_clap_music"
            )
        places[name] = place
    return places


def _lines(results: dict[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in results.items():
        if isinstance(value, dict):
            yield f"{indent}{name}"
            yield from _lines(value, indent + "  ")
        elif value is not None:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            yield f"{indent}{name}: {shown}"
