"""The page at /ui: all that `toccata/musicgen` takes, what it makes, and what it made before.

It is a client of the parts behind the API: what is made here is a prediction like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import UploadFile

from toccata.errors import InputError, ToccataError
from toccata.schema import Field, default_of
from toccata.server.answers import Parts, address_at
from toccata.server.page_calls import curl_call, javascript_call, python_call
from toccata.server.page_results import drawn, history_html, players_html, said
from toccata.server.routes_files import UNKNOWN_TYPE, keep_file
from toccata.server.store import Prediction
from toccata.server.validation import validate
from toccata.server.versions import LATEST, VERSIONS
from toccata.server.views import Address

PATH = "/ui"
VERSION = LATEST["toccata/musicgen"]
EXAMPLES = (
    "lo-fi beat, 80 bpm, mellow piano",
    "solo classical guitar, calm, no drums",
    "fast rock with electric guitar and drums, 140 bpm",
    "dreamy synth pad, slow, in A minor",
)
CALLS = {"curl": curl_call, "Python": python_call, "JavaScript": javascript_call}
# Its id, how it is, players, picture, calls, history.
SHOWN = 5 + len(CALLS)
LOOK_S = 0.3
# Uploads and pictures of the page itself, in seconds: how often it looks, and what is too old.
TIDY_EVERY_S, KEPT_S = 3600, 24 * 3600
# What is shown first; everything else is folded away.
FIRST = ("prompt", "model_version", "input_audio", "continuation", "duration", "count", "seed")
REST = tuple(name for name in VERSION.schema.names if name not in FIRST)
MOST_UPLOAD = "100mb"
CSS = ".gradio-container {max-width: 1200px !important} .players audio {width: 100%}"
_FONT, _FONT_MONO = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")


def mount(app: FastAPI, parts: Callable[[], Parts], tokens: bool) -> None:
    """Put the page under /ui of `app`. tokens: who opens it must give one as the password."""

    def knows_token(_: str, password: str) -> bool:
        return parts().tokens.refusal(f"Bearer {password}") is None

    gr.mount_gradio_app(
        app,
        build(parts),
        path=PATH,
        auth=knows_token if tokens else None,
        auth_message="Any name; the password is a token of this server." if tokens else None,
        max_file_size=MOST_UPLOAD,
        ssr_mode=False,
        show_error=True,
        footer_links=[],
        theme=gr.themes.Base(font=_FONT, font_mono=_FONT_MONO),
        css=CSS,
    )


def build(parts: Callable[[], Parts]) -> Any:
    """The layout, and what its buttons do."""
    page = Page(parts)
    with gr.Blocks(
        title="toccata", analytics_enabled=False, delete_cache=(TIDY_EVERY_S, KEPT_S)
    ) as blocks:
        gr.Markdown("# toccata\nMusic from a description.")
        with gr.Row():
            with gr.Column():
                inputs = _inputs()
                with gr.Row():
                    make = gr.Button("Make music", variant="primary", elem_id="make")
                    stop = gr.Button("Stop", elem_id="stop")
            with gr.Column():
                status = gr.Markdown(elem_id="status")
                players = gr.HTML(elem_id="players", elem_classes="players")
                picture = gr.Image(
                    label="Waveform, mel spectrogram, pitch classes", buttons=["download"],
                    elem_id="picture",
                )  # fmt: skip
                again = gr.Button("Use this seed again", elem_id="again")
                calls = [_code(name) for name in CALLS]
        history = gr.HTML(elem_id="history", elem_classes="players")
        current = gr.State("")
        shown = [current, status, players, picture, *calls, history]
        make.click(page.make, inputs, shown, concurrency_limit=None)
        stop.click(page.stop, current, None, concurrency_limit=None)
        again.click(page.seed, current, inputs[FIRST.index("seed")])
        blocks.load(page.open, None, shown)
    return blocks


def _code(name: str) -> gr.Code:
    language: Any = {"curl": "shell"}.get(name, name.lower())
    with gr.Accordion(f"The same with {name}", open=False):
        return gr.Code(language=language, label=name, elem_id=f"call-{name.lower()}")


def _inputs() -> list[gr.components.Component]:
    """A component for each of FIRST and REST, in this order."""
    made = [_component(VERSION.schema[name]) for name in FIRST]
    gr.Examples([[text] for text in EXAMPLES], inputs=[made[0]])
    with gr.Accordion("More", open=False):
        made += [_component(VERSION.schema[name]) for name in REST]
    return made


def _component(field: Field) -> gr.components.Component:
    words: dict[str, Any] = {
        "label": field.name.replace("_", " ").capitalize(),
        "elem_id": f"input-{field.name}",
    }
    if field.kind == "audio":
        return gr.Audio(sources=["upload", "microphone"], type="filepath", **words)
    words["info"] = field.description
    if field.choices:
        return gr.Dropdown(list(field.choices), value=field.default, **words)
    if field.kind == "boolean":
        return gr.Checkbox(value=bool(field.default), **words)
    if field.kind == "string":
        return gr.Textbox(lines=2, **words)
    if field.default is None:  # a Number would show 0
        return gr.Textbox(placeholder=default_of(field), max_lines=1, **words)
    whole = 0 if field.kind == "integer" else None
    return gr.Number(value=field.default, precision=whole, **words)  # type: ignore[arg-type]


def _read(field: Field, value: object) -> object:
    """Numbers that were written as text. Raises InputError."""
    if field.kind not in ("integer", "number") or not isinstance(value, str):
        return value
    try:
        return int(value) if field.kind == "integer" else float(value)
    except ValueError as error:
        raise InputError(field.name, value, f"it must be {field.allowed}") from error


class Page:
    """What happens on the page; it finds the server's parts once they are there."""

    def __init__(self, parts: Callable[[], Parts]) -> None:
        self._parts = parts

    async def make(self, request: gr.Request, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
        """Create a prediction and show it until it has ended."""
        own = self._address(request)
        try:
            given = await self._given(dict(zip((*FIRST, *REST), values, strict=True)), own)
            made = self._parts().predictions.create(VERSION, given, base=own.base)
        except ToccataError as error:
            raise gr.Error(str(error)) from error
        async for shown in self._shown(made, own, autoplay=True):
            yield shown

    async def open(self, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        """The history, and the prediction that the address names, if it does."""
        own = self._address(request)
        yield *[gr.skip()] * (SHOWN - 1), self._history(own)
        named = self._parts().store.get(request.query_params.get("prediction", ""))
        if named is not None:
            async for shown in self._shown(named, own, autoplay=False):
                yield shown

    async def stop(self, prediction_id: str) -> None:
        if prediction_id:
            self._parts().predictions.cancel(prediction_id)

    async def seed(self, prediction_id: str) -> str:
        """The seed of what is shown."""
        made = self._parts().store.get(prediction_id) if prediction_id else None
        return "" if made is None else str(made.seed)

    async def _shown(
        self, prediction: Prediction, own: Address, *, autoplay: bool
    ) -> AsyncIterator[tuple[Any, ...]]:
        """All that is shown of it, whenever there is something new."""
        parts, now, before = self._parts(), prediction, said(prediction)
        version = VERSIONS[prediction.version]
        calls = [call(own.base, version, prediction.input) for call in CALLS.values()]
        players = players_html(prediction, own, autoplay)
        yield prediction.id, before, players, None, *calls, gr.skip()
        while not now.ended:
            await asyncio.sleep(LOOK_S)
            now = parts.store.get(prediction.id) or now
            if said(now) != before:
                before = said(now)
                yield gr.skip(), before, *[gr.skip()] * (SHOWN - 2)
        picture = await asyncio.to_thread(drawn, now, parts.store, parts.storage)
        yield *[gr.skip()] * 3, picture, *[gr.skip()] * len(CALLS), self._history(own)

    def _history(self, own: Address) -> str:
        return history_html([one for one in self._parts().store.page(50) if one.ended], own)

    async def _given(self, values: Mapping[str, Any], own: Address) -> dict[str, object]:
        """What was filled in, checked; audio is kept as an upload. Raises InvalidRequest."""
        filled = {name: value for name, value in values.items() if value not in (None, "")}
        audio = filled.pop("input_audio", None)
        if audio is not None:
            filled["input_audio"] = f"{own.base}/v1/files/{await self._kept(Path(audio))}"
        fields = {name: VERSION.schema[name] for name in filled}
        read = {name: _read(fields[name], value) for name, value in filled.items()}
        changed = {n: value for n, value in read.items() if value != fields[n].default}
        return validate(VERSION, changed)

    async def _kept(self, path: Path) -> str:
        """The id that a file has as an upload."""
        with path.open("rb") as file:
            content = UploadFile(file, filename=path.name)
            kept = await keep_file(self._parts(), content, path.name, UNKNOWN_TYPE, {})
        return kept.id

    def _address(self, request: gr.Request) -> Address:
        return address_at(request.url, self._parts().settings)
