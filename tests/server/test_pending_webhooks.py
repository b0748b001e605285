"""The end of a prediction is told, even if the server is killed before it could."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import SEED_VERSION, TIMEOUT_S
from tests.server.test_chaos import Program, program, until
from toccata.server.storage.repository import Repository


@dataclass
class Hooked:
    """Who is told, and what; it answers once the gate is open."""

    url: str = ""
    gate: threading.Event = field(default_factory=threading.Event)
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@pytest.fixture
def hooked() -> Iterator[Hooked]:
    hooked = Hooked()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            hooked.heard.append((self.headers["webhook-id"], body))
            hooked.gate.wait(TIMEOUT_S)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hooked.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    yield hooked
    hooked.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


def create(running: Program, hook: str) -> str:
    body = {
        "version": SEED_VERSION,
        "input": {"prompt": "piano", "duration": 1},
        "webhook": hook,
        "webhook_events_filter": ["completed"],
    }
    made = running.client.post("/v1/predictions", json=body, headers={"Prefer": "wait"})
    assert made.json()["status"] == "succeeded"
    return str(made.json()["id"])


def test_a_server_that_was_killed_before_it_could_tell_tells_it_when_it_is_back(
    hooked: Hooked, tmp_path: Path
) -> None:
    with program(tmp_path / "data") as running:
        made = create(running, hooked.url)
        until(lambda: hooked.heard)
        running.end()  # nobody has said yet that it was heard
        hooked.gate.set()
        running.start()
        until(lambda: len(hooked.heard) == 2)
        assert hooked.heard[0] == hooked.heard[1]
        assert hooked.heard[1][1]["id"] == made
        assert hooked.heard[1][1]["output"].startswith("data:audio/wav;base64,")
        with closing(Repository(f"sqlite:///{tmp_path / 'data' / 'server.db'}")) as store:
            until(lambda: store.undelivered() == [])


def test_what_was_told_is_owed_no_more(hooked: Hooked, tmp_path: Path) -> None:
    hooked.gate.set()
    with program(tmp_path / "data") as running:
        create(running, hooked.url)
        with closing(Repository(f"sqlite:///{tmp_path / 'data' / 'server.db'}")) as store:
            until(lambda: hooked.heard and store.undelivered() == [])
        running.end()
        running.start()
        create(running, hooked.url)
        until(lambda: len(hooked.heard) > 1)
        assert len({name for name, _ in hooked.heard}) == len(hooked.heard) == 2
