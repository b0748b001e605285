"""Predictions as the page shows them: players, words, a picture, and the list of past ones."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from toccata.audio.files import read
from toccata.audio.waveform import cut
from toccata.server.inputs_of import uploaded
from toccata.server.pictures import picture
from toccata.server.storage import Storage
from toccata.server.store import FAILED, SUCCEEDED, Prediction, Store
from toccata.server.views import Address
from toccata.types import Waveform

if TYPE_CHECKING:
    from PIL.Image import Image


def said(prediction: Prediction) -> str:
    """How it is, in a line of Markdown."""
    if prediction.status == FAILED:
        return f"**Failed:** {escape(prediction.error or '')}"
    last = prediction.logs.strip().rpartition("\n")[2]
    if prediction.status == SUCCEEDED:
        metrics = prediction.metrics
        took = f"{metrics.get('predict_time', 0):.1f} s"
        return f"**Done** in {took} with seed {prediction.seed}, by {metrics.get('model', '')}."
    return f"**{prediction.status.capitalize()}** `{escape(last)}`"


def players_html(prediction: Prediction, address: Address, autoplay: bool = True) -> str:
    """A player for each variation, which plays while the music is made."""
    rows = []
    for variation in range(1, prediction.count + 1):
        source = address.urls(prediction)["audio"] + f"?variation={variation}"
        plays = " autoplay" if autoplay and variation == 1 else ""
        rows.append(f'<audio controls{plays} preload="none" src="{escape(source)}"></audio>')
    return "".join(rows)


def history_html(predictions: Sequence[Prediction], address: Address) -> str:
    """The newest first, each with what it was made from."""
    if not predictions:
        return "<p>Nothing has been made yet.</p>"
    return "<h3>Made before</h3>" + "".join(_past(one, address) for one in predictions)


def _past(prediction: Prediction, address: Address) -> str:
    when = datetime.fromtimestamp(prediction.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    given = ", ".join(f"{name}: {str(value)[:200]}" for name, value in prediction.input.items())
    words = f"{when} · {prediction.status} · seed {prediction.seed} · {given}"
    player = players_html(prediction, address, autoplay=False) if prediction.outputs else ""
    return f"<details><summary>{escape(words)}</summary>{player}</details>"


def drawn(prediction: Prediction, store: Store, storage: Storage) -> Image | None:
    """The picture of its first variation, over the melody that it follows if that was uploaded
    here; None without music.
    """
    if prediction.output is None:
        return None
    given = prediction.input
    melody = uploaded(str(given.get("input_audio") or ""), store)
    with tempfile.TemporaryDirectory(prefix="toccata-page-") as folder:
        made = _read(storage, prediction.output, Path(folder))
        if melody is None or given.get("continuation"):
            return picture(made)
        whole = _read(storage, f"files/{melody}", Path(folder))
        end_s = given.get("continuation_end")
        part = cut(
            whole, given.get("continuation_start", 0), whole.duration_s if end_s is None else end_s
        )
        return picture(made, part)


def _read(storage: Storage, name: str, folder: Path) -> Waveform:
    local = folder / "audio"
    storage.get(name, local)
    return read(local)
