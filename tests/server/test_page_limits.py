"""What one visitor of the page can take from the others: no more than a share."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import httpx2
import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from tests.server.conftest import TIMEOUT_S
from tests.server.test_page import Served, process
from tests.server.test_repository import prediction
from toccata.server.api.auth import owner_named
from toccata.server.api.dependencies import owner_of
from toccata.server.config import ServerSettings
from toccata.server.storage.repository import Prediction
from toccata.server.ui import page
from toccata.server.ui.page import Page
from toccata.server.ui.page_files import PageFiles
from toccata.server.ui.page_form import VERSION
from toccata.server.ui.page_gate import MAX_OPEN_STREAMS, PageGate
from toccata.server.ui.page_trim import Heard

API = "/ui/gradio_api"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with process(tmp_path_factory.mktemp("limits") / "data") as served:
        yield served


def visit(served: Served, session: str, query: str = "") -> None:
    """Open the page, as its script does."""
    config = served.client.get("/ui/config").json()
    opens = next(one for one in config["dependencies"] if one["api_name"] == "open")
    body = {"data": [], "fn_index": opens["id"], "session_hash": session, "trigger_id": None}
    answer = served.client.post(f"{API}/queue/join{query}", json=body)
    assert answer.status_code == 200, answer.text


def test_an_open_page_keeps_no_other_from_opening(served: Served) -> None:
    body = {"version": "toccata/musicgen", "input": {"prompt": "slow 30 piano"}}
    made = served.client.post("/v1/predictions", json=body).json()
    visit(served, "first", f"?prediction={made['id']}")
    visit(served, "second")
    with httpx2.stream(
        "GET", f"{served.url}{API}/queue/data?session_hash=second", timeout=TIMEOUT_S
    ) as events:
        assert any("process_completed" in line for line in events.iter_lines())
    assert served.client.get(f"/v1/predictions/{made['id']}").json()["completed_at"] is None
    served.client.post(f"/v1/predictions/{made['id']}/cancel")


def test_many_open_pages_keep_no_other_from_opening(served: Served) -> None:
    """Each follows a prediction for as long as it lasts, whether its visitor is there or not."""
    body = {"version": "toccata/musicgen", "input": {"prompt": "slow 60 piano"}}
    made = served.client.post("/v1/predictions", json=body).json()
    for number in range(page.MAX_FOLLOWED + 8):
        visit(served, f"many{number}", f"?prediction={made['id']}")
    visit(served, "other")
    with httpx2.stream(
        "GET", f"{served.url}{API}/queue/data?session_hash=other", timeout=TIMEOUT_S
    ) as events:
        assert any("process_completed" in line for line in events.iter_lines())
    assert served.client.get(f"/v1/predictions/{made['id']}").json()["completed_at"] is None
    served.client.post(f"/v1/predictions/{made['id']}/cancel")


def test_who_follows_too_much_is_told(tmp_path: Path) -> None:
    never_ends = prediction(id="open", status="processing", version=VERSION.id)

    async def get(_: str) -> Prediction:
        return never_ends

    store, settings = SimpleNamespace(get=get), ServerSettings(data_dir=tmp_path)
    shown = Page(
        lambda: cast(Any, SimpleNamespace(settings=settings, store=store)), PageFiles(tmp_path)
    )

    async def follow(address: str) -> str:
        """The last word that there is, once it ends."""
        views = [view async for view in shown._shown(never_ends, visitor(address), autoplay=False)]
        return str(views[-1][1])

    async def act() -> None:
        many = [asyncio.create_task(follow("192.0.2.1")) for _ in range(page.MAX_FOLLOWED)]
        other = asyncio.create_task(follow("192.0.2.2"))
        ended, going_on = await asyncio.wait([*many, other], timeout=2 * page.POLL_INTERVAL_S)
        assert {page.NOT_FOLLOWED in one.result() for one in ended} == {True}
        assert len(ended) == page.MAX_FOLLOWED // 2
        assert other in going_on
        for one in going_on:
            one.cancel()
        await asyncio.gather(*going_on, return_exceptions=True)

    asyncio.run(act())


def test_who_follows_much_asks_the_database_no_more_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever follows little is shown as much as before meanwhile."""
    monkeypatch.setattr(page, "POLL_INTERVAL_S", 0.05)
    asked: Counter[str] = Counter()

    async def get(prediction_id: str) -> Prediction:
        asked[prediction_id] += 1
        return prediction(id=prediction_id, status="processing", version=VERSION.id)

    store, settings = SimpleNamespace(get=get), ServerSettings(data_dir=tmp_path)
    parts = cast(Any, SimpleNamespace(settings=settings, store=store))
    shown = Page(lambda: parts, PageFiles(tmp_path))

    async def follow(address: str, prediction_id: str) -> None:
        one = prediction(id=prediction_id, status="processing", version=VERSION.id)
        async for _ in shown._shown(one, visitor(address), autoplay=False):
            pass

    async def act() -> None:
        followed = [asyncio.create_task(follow("192.0.2.1", "many")) for _ in range(20)]
        followed.append(asyncio.create_task(follow("192.0.2.2", "one")))
        await asyncio.sleep(1.0)
        for one in followed:
            one.cancel()
        await asyncio.gather(*followed, return_exceptions=True)

    asyncio.run(act())
    assert asked["many"] <= 40
    assert asked["one"] > 0


def test_who_is_logged_in_acts_for_the_token_of_the_login(tmp_path: Path) -> None:
    """And not for one that a request names, which nobody has checked."""
    with process(tmp_path / "data", "secret-1") as locked:
        form = {"username": "me", "password": " secret-1"}
        answer = locked.client.post("/ui/login", data=form)
        locked.client.headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]
        config = locked.client.get("/ui/config").json()
        makes = next(one for one in config["dependencies"] if one["api_name"] == "make")
        body = {"data": [None] * len(makes["inputs"]), "fn_index": makes["id"], "session_hash": "s"}
        forged = {"Authorization": "Bearer another"}
        locked.client.post(f"{API}/queue/join", json=body, headers=forged)
        ends = time.monotonic() + TIMEOUT_S
        while not (owners := made_by(tmp_path / "data" / "server.db")):
            assert time.monotonic() < ends
            time.sleep(0.1)
    assert owners == [owner_named("secret-1")]


def made_by(database: Path) -> list[str]:
    """The owners of all predictions."""
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT owner FROM predictions")]


def test_a_network_of_ipv6_is_one_owner_and_a_token_that_was_not_checked_none() -> None:
    def owner(address: str, token: str = "") -> str:
        headers = [(b"authorization", f"Bearer {token}".encode())]
        return owner_of(Request({"type": "http", "headers": headers, "client": (address, 1)}))

    assert owner("2001:db8::1", "a") == owner("2001:db8::2", "b") != owner("2001:db8:1::")
    assert owner("192.0.2.1") != owner("192.0.2.2")


def test_open_pages_of_one_address_leave_room_for_others(tmp_path: Path) -> None:
    async def never_ends(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()

    sessions = cast(Any, SimpleNamespace(cookie_id="x", tokens={}))
    gate = PageGate(never_ends, sessions, PageFiles(tmp_path), login=False)

    async def status(address: str, number: int) -> int:
        """Of what is answered to a page that stays open."""
        heads: asyncio.Queue[Message] = asyncio.Queue()
        path = f"/gradio_api/heartbeat/{number}"
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
        opened.append(asyncio.create_task(gate(scope | {"client": (address, 1)}, never, heads.put)))
        return int((await heads.get())["status"])

    async def never() -> Message:
        await asyncio.Event().wait()
        return {}

    opened: list[asyncio.Task[None]] = []

    async def act() -> None:
        many = [await status("192.0.2.1", number) for number in range(MAX_OPEN_STREAMS)]
        assert many == sorted(many)
        assert set(many) == {200, 503}
        assert await status("192.0.2.2", 0) == 200
        for one in opened:
            one.cancel()
        await asyncio.gather(*opened, return_exceptions=True)
        opened.clear()
        assert await status("192.0.2.1", 0) == 200

    asyncio.run(act())


def visitor(address: str) -> gr.Request:
    scope = {"type": "http", "path": "/", "query_string": b"", "headers": [(b"host", b"x")],
             "client": (address, 1)}  # fmt: skip
    return gr.Request(request=cast(Any, Request(scope)))


def test_who_has_much_audio_compared_holds_up_neither_visitors_nor_the_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()

    def follow(before: Heard, shown: str | None) -> Heard:
        if before.whole == "long":
            hangs.wait(TIMEOUT_S)
        return before

    monkeypatch.setattr(page, "follow", follow)
    parts = cast(Any, SimpleNamespace(settings=ServerSettings(data_dir=tmp_path)))

    async def act() -> None:
        shown = Page(lambda: parts, PageFiles(tmp_path))
        many = [
            asyncio.create_task(shown.heard(visitor("192.0.2.1"), Heard(whole="long"), None))
            for _ in range(30)
        ]
        async with asyncio.timeout(TIMEOUT_S / 2):
            other = await shown.heard(visitor("192.0.2.2"), Heard(whole="short"), None)
            assert await asyncio.to_thread(lambda: "done") == "done"
        assert other[0].whole == "short"
        assert not any(one.done() for one in many)
        hangs.set()
        await asyncio.gather(*many)

    asyncio.run(act())


def test_who_waits_too_long_for_a_comparison_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(page, "follow", lambda before, shown: hangs.wait(TIMEOUT_S))
    monkeypatch.setattr(page, "BUSY_S", 0.01)
    parts = cast(Any, SimpleNamespace(settings=ServerSettings(data_dir=tmp_path)))

    async def act() -> None:
        with pytest.raises(gr.Error, match="busy with other audio"):
            await Page(lambda: parts, PageFiles(tmp_path)).heard(visitor("a"), Heard(), None)

    asyncio.run(act())
    hangs.set()
