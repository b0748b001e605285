"""Predictions as the page shows them: players, words, a picture, and the list of past ones."""

from __future__ import annotations

import io
import re
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from toccata.audio.audio_input import MAX_RATE_HZ
from toccata.audio.files import read
from toccata.audio.waveform import Waveform
from toccata.errors import ToccataError
from toccata.server.predictions.prediction_inputs import uploaded
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.blobs import AsyncBlobStorage
from toccata.server.storage.repository import FAILED, SUCCEEDED, Prediction
from toccata.server.ui.pictures import picture
from toccata.server.views import Address
from toccata.server.worker.protocol import seeds_of

if TYPE_CHECKING:
    from PIL.Image import Image

DRAWN = "Waveform, mel spectrogram and pitch classes"
COLOURS = (
    "Of a melody to follow: what was asked is red, what was made cyan, where both agree white."
)
MAX_DRAWN_S = 600.0
NOTHING: Mapping[str, Any] = MappingProxyType({})
_PERCENT = re.compile(r" *(\d+)%\|")


def said(prediction: Prediction) -> str:
    """How it is: words that are read out when they change, and while it is made a bar."""
    last = prediction.logs.strip().rpartition("\n")[2]
    percent = _PERCENT.match(last)
    if prediction.ended or percent is None:
        return spoken(_words(prediction))
    left = escape(last.rpartition("| ")[2])
    bar = f'<progress max="100" value="{percent[1]}" aria-label="Progress"></progress>'
    return f"{spoken(_words(prediction))}{bar}<code>{left}</code>"


def refused(error: ToccataError) -> str:
    """Why nothing is made, with a line for each problem."""
    return spoken("<b>Not made.</b> " + "<br>".join(map(escape, str(error).strip().splitlines())))


def spoken(words: str) -> str:
    """HTML that a screen reader says, as soon as it is there."""
    return f'<div role="status" aria-live="polite">{words}</div>'


def _words(prediction: Prediction) -> str:
    if prediction.status == FAILED:
        return f"<b>Failed:</b> {escape(prediction.error or '')}"
    if prediction.status == SUCCEEDED:
        metrics = prediction.metrics
        took, model = f"{metrics.get('predict_time', 0):.1f} s", escape(metrics.get("model", ""))
        return f"<b>Done</b> in {took} with seed {prediction.seed}, by {model}."
    return f"<b>{escape(prediction.status.capitalize())}</b>"


def players_html(prediction: Prediction, address: Address, autoplay: bool = True) -> str:
    """A player for each variation, which plays while the music is made."""
    source = address.urls(prediction)["audio"] + "?variation="
    seeds = seeds_of(prediction.seed, prediction.count)
    return "".join(
        _player(f"Variation {number}, seed {seed}" if len(seeds) > 1 else f"Seed {seed}",
                f"{source}{number}", autoplay and number == 1)
        for number, seed in enumerate(seeds, start=1)
    )  # fmt: skip


def _player(words: str, source: str, autoplay: bool) -> str:
    plays = " autoplay" if autoplay else ""
    return (
        f"<figure><figcaption>{words}</figcaption>"
        f'<audio controls{plays} preload="none" aria-label="{words}" src="{escape(source)}">'
        "</audio></figure>"
    )


def history_html(predictions: Sequence[Prediction], address: Address) -> str:
    """The newest first, each with what it was made from."""
    past = "".join(_past(one, address) for one in predictions)
    return "<h2>Made before</h2>" + (past or "<p>Nothing has been made yet.</p>")


def _past(prediction: Prediction, address: Address) -> str:
    when = datetime.fromtimestamp(prediction.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    given = dict(prediction.input)
    title = escape(str(given.pop("prompt", None) or "no prompt")[:200])
    words = [f"{when}, {prediction.status}", f"seed: {prediction.seed}"]
    words += [f"{name}: {str(value)[:200]}" for name, value in given.items() if name != "seed"]
    link = f'<a href="{escape(address.urls(prediction)["web"])}">Show it</a>'
    player = players_html(prediction, address, autoplay=False) if prediction.outputs else ""
    return (
        f"<details><summary>{title}</summary>"
        f"<p>{escape(' · '.join(words))} · {link}</p>{player}</details>"
    )


def picture_html(image: Image | None) -> str:
    """A picture with words below it; nothing where there is none."""
    if image is None:
        return ""
    data = io.BytesIO()
    image.save(data, "PNG")
    source = "data:image/png;base64," + b64encode(data.getvalue()).decode()
    return (
        f'<figure><img alt="{DRAWN}" src="{source}"><figcaption>{DRAWN}. {COLOURS}</figcaption>'
        "</figure>"
    )


@asynccontextmanager
async def drawing(
    prediction: Prediction, store: AsyncRepository, storage: AsyncBlobStorage
) -> AsyncIterator[Callable[[], Image | None]]:
    """What draws its first variation, over the melody that it follows if that was uploaded here.

    To be called in a thread, before the context ends. It gives None without music.
    """
    with tempfile.TemporaryDirectory(prefix="toccata-page-") as folder:
        made, whole = Path(folder) / "made", Path(folder) / "melody"
        if prediction.output is None:
            yield lambda: None
            return
        await storage.get(prediction.output, made)
        given = prediction.input
        melody = await uploaded(str(given.get("input_audio") or ""), store)
        if melody is None or given.get("continuation"):
            yield partial(_drawn, made)
            return
        await storage.get(f"files/{melody}", whole)
        yield partial(_drawn, made, whole, given)


def _drawn(
    file: Path, melody: Path | None = None, given: Mapping[str, Any] = NOTHING
) -> Image | None:
    """The picture of what was made, over the part of an upload that it followed, if any.

    None of a long piece: its samples would take gigabytes here.
    """
    made = read(file, end_s=MAX_DRAWN_S + 1, max_rate_hz=MAX_RATE_HZ)
    if made.duration_s > MAX_DRAWN_S:
        return None
    return picture(made) if melody is None else _over_melody(made, melody, given)


def _over_melody(made: Waveform, melody: Path, given: Mapping[str, Any]) -> Image:
    start_s, end_s = given.get("continuation_start") or 0, given.get("continuation_end")
    reach_s = start_s + made.duration_s
    if end_s is not None and end_s >= 0:
        reach_s = min(reach_s, end_s)
    part = read(melody, start_s=start_s, end_s=reach_s, max_rate_hz=MAX_RATE_HZ)
    return picture(made, part)
