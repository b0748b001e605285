"""The figures as a part of docs/guide/fine_tuning.md, between two comments that name `lora`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench.tables import MISSING, table

NOT_MEASURED = "Not measured yet: `python -m bench.lora`."
_PARTS = re.compile(r"(<!-- /?lora -->\n)")
_COLUMNS = {"without": "without", "half": "LoRA at 0.5", "full": "LoRA", "songs": "the real ones"}
_OF_STYLE = {
    "style": "are the style, by the classifier",
    "tempo_accuracy": "have the tempo that was named",
    "unhealthy": "are silent, clipped or stuck (clips)",
}
_OF_KEPT = {
    "tempo_accuracy": "have the tempo that was named",
    "drums_accuracy": "have drums, or none, as asked",
    "key_accuracy": "have the key that was named",
    "key_scale_accuracy": "have its scale",
    "instrument_accuracy": "are led by the family of instruments that was named",
    "genre_accuracy": "are of the genre that was named",
    "style": "are the new style, though nobody asked for it",
    "unhealthy": "are silent, clipped or stuck (clips)",
}


def filled(text: str, results: Mapping[str, Any] | None) -> str:
    """`text` with the part made anew; None: nothing was measured. SystemExit without markers."""
    parts = _PARTS.split(text)
    if len(parts) != 5:
        raise SystemExit("fine_tuning.md: it needs <!-- lora --> and <!-- /lora --> once")
    parts[2] = f"\n{NOT_MEASURED if results is None else part(results)}\n\n"
    return "".join(parts)


def part(results: Mapping[str, Any]) -> str:
    sizes = results["sizes"]
    return "\n\n".join(
        [
            f"```sh\n{results['training']['command']}\n```",
            _training(results),
            _table(f"of {sizes['asked']} clips asked for by name", results["style"], _OF_STYLE),
            _classifier(results),
            _table(f"of {sizes['kept']} clips for other captions", results["kept"], _OF_KEPT),
            _origin(results["machine"]),
        ]
    )


def _training(results: Mapping[str, Any]) -> str:
    found, sizes = results["training"], results["sizes"]
    return (
        f"{sizes['learnt']} clips of *{results['name']}*, {found['music_s'] / 60:.1f} minutes in "
        f"all: {found['steps']} steps in {found['seconds'] / 60:.1f} minutes, of which step "
        f"{found['best_step']} was the best on the clips held out. From the command to the file, "
        f"{found['file_mb']:.1f} MB, {found['wall_s'] / 60:.1f} minutes went by."
    )


def _classifier(results: Mapping[str, Any]) -> str:
    accuracy, sizes = results["classifier"], results["sizes"]
    return (
        f"The classifier was fitted to other pieces of the style and to songs of the 24 genres. Of "
        f"those it had never heard, it is right about {accuracy['style']:.0%} of "
        f"{sizes['judged']} pieces and {accuracy['others']:.0%} of "
        f"{sizes['others'] * sizes['judged']} songs."
    )


def _table(head: str, found: Mapping[str, Mapping[str, float]], lines: Mapping[str, str]) -> str:
    columns = [name for name in _COLUMNS if name in found]
    rows = [
        [what, *(_cell(found[column].get(figure), figure) for column in columns)]
        for figure, what in lines.items()
        if any(figure in found[column] for column in columns)
    ]
    return table([head, *(_COLUMNS[name] for name in columns)], rows)


def _cell(value: float | None, figure: str) -> str:
    if value is None:
        return MISSING
    return f"{value}" if figure == "unhealthy" else f"{value:.0%}"


def _origin(machine: Mapping[str, str]) -> str:
    return (
        f"*{machine['cores']} cores of {machine['processor']}, torch {machine['torch']}, "
        f"at {machine['commit']}*"
    )
