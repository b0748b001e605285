"""The page at /ui: all that `toccata/musicgen` takes, what it makes, and what it made before.

It is a client of the parts behind the API: what is made here is a prediction like any other.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import UploadFile
from starlette.requests import HTTPConnection
from starlette.routing import Mount

from toccata.errors import ToccataError
from toccata.server.api.dependencies import AppState, address_at, owner_of
from toccata.server.api.replicate.file_routes import UNKNOWN_TYPE, keep_file
from toccata.server.api.replicate.validation import validate
from toccata.server.concurrency import FairThreads, Shares
from toccata.server.storage.repository import Prediction
from toccata.server.ui.page_calls import curl_call, javascript_call, python_call
from toccata.server.ui.page_files import PageFiles
from toccata.server.ui.page_form import NAMES, VERSION, Form, given, options, prompt_box
from toccata.server.ui.page_gate import PageGate, Sessions
from toccata.server.ui.page_results import (
    drawing,
    history_html,
    picture_html,
    players_html,
    refused,
    said,
    spoken,
)
from toccata.server.ui.page_style import CSS, theme
from toccata.server.ui.page_trim import Heard, follow
from toccata.server.versions import VERSIONS
from toccata.server.views import Address

PATH = "/ui"
CALLS = {"curl": curl_call, "Python": python_call, "JavaScript": javascript_call}
# Its id, how it is, players, picture, calls, history.
SHOWN = 5 + len(CALLS)
POLL_INTERVAL_S = 0.3
# Predictions that are followed on open pages, each of which asks the database again and again, and
# audio that waits for its comparison; of one visitor, half of what is free.
MAX_FOLLOWED = 64
MAX_COMPARISONS = 64
# Events that gradio runs at once. All that take longer than a moment must fit, so that no event
# waits for those of other visitors.
MAX_EVENTS = 256
# Comparing and drawing audio takes seconds and hundreds of MB. Both have threads of their own, so
# that the API waits for neither.
NUM_COMPARED = 2
BUSY_S = 60.0
MAX_UPLOAD = "100mb"
NOT_FOLLOWED = "You follow as much as one visitor may; open this page again to see how it goes on."
NOTHING_YET = "Say what the music should be. It is played here while it is made."

T = TypeVar("T")


class PageBusyError(ToccataError):
    """The page has more to compute than it can in time."""

    http_status = 503

    def __init__(self) -> None:
        super().__init__("the page is busy with other audio; try again in a minute")


def mount(app: FastAPI, parts: Callable[[], AppState], files: PageFiles, tokens: bool) -> None:
    """Put the page under /ui of `app`. tokens: who opens it must give one as the password."""
    # The one way to say where gradio keeps uploads, which it asks for at each request.
    os.environ["GRADIO_TEMP_DIR"] = str(files.folder)
    blocks = build(parts, files)

    def knows_token(_: str, password: str) -> bool:
        return parts().tokens.refusal(f"Bearer {password}") is None

    gr.mount_gradio_app(
        app,
        blocks,
        path=PATH,
        auth=knows_token if tokens else None,
        auth_message="Any name; the password is a token of this server." if tokens else None,
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        show_error=False,  # of an accident: its words may be of the inside
        run_history=False,
        footer_links=[],
        theme=theme(),
        css=CSS,
    )
    # Only then does gradio check that a file which a client names was uploaded to it.
    blocks.has_launched = True
    mounted = app.routes[-1]
    assert isinstance(mounted, Mount)  # noqa: S101 - what mount_gradio_app adds last
    mounted.app = PageGate(mounted.app, cast(Sessions, mounted.app), files, login=tokens)


def build(parts: Callable[[], AppState], files: PageFiles) -> Any:
    """The layout, and what its buttons do."""
    page = Page(parts, files)
    with gr.Blocks(title="toccata", analytics_enabled=False) as blocks:
        gr.Markdown("# toccata\nMusic from a description.")
        current, heard = gr.State(""), gr.State(Heard())
        with gr.Row(elem_id="work"):
            with gr.Column(elem_id="ask"):
                prompt, make, stop = _ask()
            with gr.Column(elem_id="result"):
                *results, again = _results()
            with gr.Column(elem_id="options"):
                form = {"prompt": prompt, **options()}
            with gr.Column(elem_id="past"):
                past = [*map(_code, CALLS), gr.HTML(elem_id="history", elem_classes="players")]
        shown = [current, *results, *past]
        inputs = [heard, *(form[name] for name in NAMES)]
        gr.on(
            [make.click, prompt.submit], page.make, inputs, shown,
            concurrency_limit=None, show_progress="hidden",
        )  # fmt: skip
        stop.click(page.stop, current, None, concurrency_limit=None)
        again.click(page.seed, current, form["seed"], concurrency_limit=None)
        _listen(page, form, heard)
        blocks.load(page.open, None, shown, concurrency_limit=None)
    blocks.max_threads = MAX_EVENTS
    blocks.queue()  # reads it
    return blocks


def _ask() -> tuple[gr.Textbox, gr.Button, gr.Button]:
    box = prompt_box()
    with gr.Row():
        make = gr.Button("Make music", variant="primary", elem_id="make", min_width=120)
        stop = gr.Button("Stop", elem_id="stop", min_width=120)
    return box, make, stop


def _results() -> tuple[gr.HTML, gr.HTML, gr.HTML, gr.Button]:
    """How it is, players, a picture, and the button for its seed."""
    status = gr.HTML(spoken(NOTHING_YET), elem_id="status")
    players = gr.HTML(elem_id="players", elem_classes="players")
    picture = gr.HTML(elem_id="picture")
    return status, players, picture, gr.Button("Use this seed again", elem_id="again", size="sm")


def _code(name: str) -> gr.Code:
    language: Any = {"curl": "shell"}.get(name, name.lower())
    with gr.Accordion(f"The same with {name}", open=False, elem_classes="call"):
        return gr.Code(
            language=language, label=name, elem_id=f"call-{name.lower()}", wrap_lines=True
        )


def _listen(page: Page, form: Form, heard: gr.State) -> None:
    """Whatever is uploaded, trimmed or cleared: the two fields say which part of it is used."""
    form["input_audio"].change(
        page.heard,
        [heard, form["input_audio"]],
        [heard, form["continuation_start"], form["continuation_end"]],
        concurrency_limit=None,
        show_progress="hidden",
    )


class Page:
    """What happens on the page; it finds the server's parts once they are there."""

    def __init__(self, parts: Callable[[], AppState], files: PageFiles) -> None:
        self._parts = parts
        self._files = files
        self._followed, self._compares = Shares(MAX_FOLLOWED), Shares(MAX_COMPARISONS)
        self._comparing = FairThreads("page-compare", NUM_COMPARED, 1)
        self._drawing = FairThreads("page-draw", 1, 1)

    async def make(
        self, request: gr.Request, heard: Heard, *values: Any
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Create a prediction and show it until it has ended, or say why it cannot be made."""
        own = self._address(request)
        try:
            named = dict(zip(NAMES, values, strict=True))
            filled = await self._filled(heard, named, own, self._owner(request))
            inputs = validate(VERSION, given(filled))
            made = await self._parts().predictions.create(
                VERSION, inputs, base=own.base, owner=self._owner(request)
            )
        except ToccataError as error:
            yield gr.skip(), refused(error), *[gr.skip()] * (SHOWN - 2)
            return
        async for shown in self._shown(made, request, autoplay=True):
            yield shown

    async def open(self, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        """The history, and the prediction that the address names, if it does."""
        own = self._address(request)
        yield *[gr.skip()] * (SHOWN - 1), await self._history(own)
        named = await self._parts().store.get(request.query_params.get("prediction", ""))
        if named is not None:
            async for shown in self._shown(named, request, autoplay=False):
                yield shown

    async def heard(
        self, request: gr.Request, before: Heard, shown: str | None
    ) -> tuple[Heard, float, str]:
        """What is heard now, and the part of it as continuation_start and continuation_end."""
        try:
            return await self._compared(before, shown, self._owner(request))
        except ToccataError as error:
            raise gr.Error(str(error), print_exception=False) from error

    async def _compared(
        self, before: Heard, shown: str | None, owner: str
    ) -> tuple[Heard, float, str]:
        """As `heard`.

        Raises:
            InputError: The file was not uploaded to the page.
            PageBusyError: It would take too long.
        """
        shown = str(self._files.own(shown)) if shown else None
        with self._compares.hold(owner) as is_granted:
            if not is_granted:
                raise PageBusyError
            now = await _in_time(self._comparing.run(owner, partial(follow, before, shown)))
        return now, now.start_s, now.end

    async def stop(self, prediction_id: str) -> None:
        if prediction_id:
            await self._parts().predictions.cancel(prediction_id)

    async def seed(self, prediction_id: str) -> str:
        """The seed of what is shown."""
        made = await self._parts().store.get(prediction_id) if prediction_id else None
        return "" if made is None else str(made.seed)

    async def _shown(
        self, prediction: Prediction, request: gr.Request, *, autoplay: bool
    ) -> AsyncIterator[tuple[Any, ...]]:
        """All that is shown of it, whenever there is something new."""
        own, owner = self._address(request), self._owner(request)
        now, before = prediction, said(prediction)
        version = VERSIONS[prediction.version]
        calls = [call(own.base, version, prediction.input) for call in CALLS.values()]
        players = players_html(prediction, own, autoplay)
        yield prediction.id, before, players, "", *calls, gr.skip()
        with self._followed.hold(owner) as is_granted:
            if not is_granted:
                yield gr.skip(), spoken(NOT_FOLLOWED), *[gr.skip()] * (SHOWN - 2)
                return
            while not now.ended:
                # A visitor asks the database as often, however many predictions they follow.
                await asyncio.sleep(POLL_INTERVAL_S * self._followed.count(owner))
                now = await self._parts().store.get(prediction.id) or now
                if said(now) != before:
                    before = said(now)
                    yield gr.skip(), before, *[gr.skip()] * (SHOWN - 2)
            picture, past = await self._picture(now, owner), await self._history(own)
        yield *[gr.skip()] * 3, picture, *[gr.skip()] * len(CALLS), past

    async def _picture(self, prediction: Prediction, owner: str) -> str:
        """Empty if there is none, or no time for it."""
        parts = self._parts()
        try:
            async with drawing(prediction, parts.store, parts.storage) as draw:
                return picture_html(await _in_time(self._drawing.run(owner, draw)))
        except PageBusyError:
            return ""

    async def _history(self, own: Address) -> str:
        found = await self._parts().store.page(50)
        return history_html([one for one in found if one.ended], own)

    async def _filled(
        self, heard: Heard, values: dict[str, Any], own: Address, owner: str
    ) -> dict[str, object]:
        """The values with the whole of the audio as an upload. Raises ToccataError."""
        shown = values.pop("input_audio")
        if not shown:
            return values
        if heard.shown != shown:  # made at once, before the page was told of the part
            heard, *part = await self._compared(heard, shown, owner)
            values |= zip(("continuation_start", "continuation_end"), part, strict=True)
        kept = await self._kept(Path(heard.whole), owner)
        return values | {"input_audio": f"{own.base}/v1/files/{kept}"}

    async def _kept(self, path: Path, owner: str) -> str:
        """The id that a file has as an upload. Raises ToccataError."""
        own = self._files.own(path)
        with own.open("rb") as file:
            content = UploadFile(file, filename=path.name)
            kept = await keep_file(self._parts(), content, path.name, UNKNOWN_TYPE, {}, owner=owner)
        return kept.id

    def _owner(self, request: gr.Request) -> str:
        return owner_of(cast(HTTPConnection, request.request))

    def _address(self, request: gr.Request) -> Address:
        return address_at(cast(HTTPConnection, request.request), self._parts().settings)


async def _in_time(computing: Awaitable[T]) -> T:
    """Its result. Raises PageBusyError if that takes too long."""
    try:
        async with asyncio.timeout(BUSY_S):
            return await computing
    except TimeoutError as error:
        raise PageBusyError from error
