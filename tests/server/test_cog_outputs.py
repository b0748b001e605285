"""What the Cog API sends elsewhere: outputs and webhooks."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.server.cog_client import KEYS, begin, body, health, ready, run, wait_until
from tests.server.conftest import SEED_VERSION, Serve, Served, serving
from toccata.server.api.cog import cog_outputs
from toccata.server.config import ServerSettings, read_server
from toccata.settings import Settings


@dataclass(eq=False)
class Elsewhere:
    """Another server. `statuses` are its next answers, then 200; `location` goes with them."""

    url: str = ""
    location: str = ""
    statuses: list[int] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def until(self, count: int) -> list[dict[str, Any]]:
        """The bodies, once there are so many."""
        wait_until(lambda: len(self.requests) >= count)
        return [json.loads(body) for *_, body in self.requests]


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    there = Elsewhere()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            there.requests.append((self.command, self.path, headers, body))
            self.send_response(there.statuses.pop(0) if there.statuses else 200)
            if there.location:
                self.send_header("location", there.location)
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = do_PUT  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        there.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield there
        server.shutdown()
        thread.join()


@pytest.fixture
def served(serve: Serve) -> Served:
    return ready(serve(slots=1))


def test_an_output_goes_to_the_prefix_as_a_form(serve: Serve, elsewhere: Elsewhere) -> None:
    served = ready(serve(allow_private=True))
    made = run(served, output_file_prefix=f"{elsewhere.url}/made/by-")
    assert made["output"] == f"{elsewhere.url}/made/by-out.wav"
    (method, path, headers, form), = elsewhere.requests  # fmt: skip
    assert (method, path) == ("PUT", "/made/by-out.wav")
    head = f"Content-Type: {headers['content-type']}\r\n\r\n".encode()
    part = message_from_bytes(head + form).get_payload(0)
    assert part.get_param("name", header="content-disposition") == "file"  # type: ignore[union-attr]
    assert part.get_filename() == "out.wav"  # type: ignore[union-attr]
    assert part.get_content_type() == "audio/wav"  # type: ignore[union-attr]
    whole = served.client.get(f"/outputs/{key_of(served, made)}/out.wav").content
    assert part.get_payload(decode=True) == whole  # type: ignore[union-attr]


def key_of(served: Served, made: dict[str, Any]) -> str:
    return str(served.get(made["id"])["urls"]["audio"].split("/")[-2])


def test_a_prefix_must_be_public(served: Served, elsewhere: Elsewhere) -> None:
    made = run(served, output_file_prefix=f"{elsewhere.url}/")
    assert made["status"] == "failed"
    assert "not on the public internet" in made["error"]
    assert not elsewhere.requests


def test_outputs_go_to_the_operators_server(serve: Serve, elsewhere: Elsewhere) -> None:
    served = ready(serve(upload_url=f"{elsewhere.url}/store"))
    made = run(served)
    assert made["output"] == f"{elsewhere.url}/store/out.wav"
    (method, path, headers, sent), = elsewhere.requests  # fmt: skip
    assert (method, path) == ("PUT", "/store/out.wav")
    assert headers["content-type"] == "audio/wav"
    assert headers["x-prediction-id"] == made["id"]
    assert sent == served.client.get(f"/outputs/{key_of(served, made)}/out.wav").content
    asynchronous = begin(served, "piano")
    served.until(asynchronous["id"])
    told = served.client.put(f"/predictions/{asynchronous['id']}", json=body()).json()
    assert told["output"] == made["output"]


def test_the_hosted_api_uploads_nothing(serve: Serve, elsewhere: Elsewhere) -> None:
    served = serve(upload_url=f"{elsewhere.url}/store")
    assert served.until(served.create()["id"])["output"].startswith(served.url)
    assert not elsewhere.requests


@pytest.mark.parametrize(
    ("location", "output"),
    [
        ("https://files.example/a.wav?signature=x", "https://files.example/a.wav"),
        ("/elsewhere/a.wav", "{}/elsewhere/a.wav"),
    ],
)
def test_the_answer_says_where_it_is(
    serve: Serve, elsewhere: Elsewhere, location: str, output: str
) -> None:
    elsewhere.location, elsewhere.statuses = location, [201]
    served = ready(serve(upload_url=elsewhere.url))
    assert run(served)["output"] == output.format(elsewhere.url)


def test_an_upload_is_tried_three_times(serve: Serve, elsewhere: Elsewhere) -> None:
    elsewhere.statuses = [503, 429]
    served = ready(serve(upload_url=elsewhere.url))
    assert run(served)["status"] == "succeeded"
    assert len(elsewhere.requests) == 3
    assert len({sent for *_, sent in elsewhere.requests}) == 1


@pytest.mark.parametrize(("statuses", "tries"), [([500] * 4, 3), ([403], 1), ([302], 1)])
def test_an_output_that_nobody_takes_fails(
    serve: Serve, elsewhere: Elsewhere, statuses: list[int], tries: int
) -> None:
    elsewhere.statuses = [*statuses]
    served = ready(serve(upload_url=elsewhere.url))
    made = run(served)
    assert (made["status"], made["output"]) == ("failed", None)
    assert f"status {statuses[0]}" in made["error"]
    assert len(elsewhere.requests) == tries


@pytest.mark.parametrize("location", ["http://[", "//[x"])
def test_a_location_that_is_none_fails(serve: Serve, elsewhere: Elsewhere, location: str) -> None:
    elsewhere.location = location
    served = ready(serve(upload_url=elsewhere.url))
    assert run(served)["status"] == "failed"


def test_an_upload_server_that_is_down_fails_the_prediction(serve: Serve) -> None:
    served = ready(serve(upload_url="http://127.0.0.1:1"))
    made = run(served)
    assert made["status"] == "failed"
    assert "127.0.0.1:1/out.wav" in made["error"]
    assert health(served) == "READY"


def test_webhooks_tell_of_it_in_the_words_of_a_container(
    serve: Serve, elsewhere: Elsewhere
) -> None:
    served = ready(serve(allow_private=True, cog_webhook_token="t0ken"))
    made = begin(served, "slow 0.7", webhook=f"{elsewhere.url}/hook")
    served.until(made["id"])
    wait_until(lambda: elsewhere.requests and b'"succeeded"' in elsewhere.requests[-1][3])
    start, *between, end = elsewhere.until(3)
    assert all(one.keys() == KEYS for one in (start, *between, end))
    assert (start["status"], start["output"]) == ("processing", None)
    assert between
    assert {one["status"] for one in between} == {"processing"}
    assert end["output"].startswith("data:audio/wav")
    assert end["version"] is None
    for method, path, headers, _ in elsewhere.requests:
        assert (method, path) == ("POST", "/hook")
        assert headers["authorization"] == "Bearer t0ken"
        assert not [name for name in headers if name.startswith("webhook-")]


def test_webhooks_without_a_token_and_only_those_that_are_wanted(
    serve: Serve, elsewhere: Elsewhere
) -> None:
    served = ready(serve(allow_private=True))
    hook = f"{elsewhere.url}/hook"
    made = begin(served, webhook=hook, webhook_events_filter=["output", "completed"])
    served.client.post(f"/predictions/{made['id']}/cancel")
    (end,) = elsewhere.until(1)
    assert (end["id"], end["status"]) == (made["id"], "canceled")
    assert "authorization" not in elsewhere.requests[0][2]


def test_the_hosted_webhooks_stay_signed(serve: Serve, elsewhere: Elsewhere) -> None:
    served = serve(allow_private=True, cog_webhook_token="t0ken")
    given = {"version": SEED_VERSION, "webhook": elsewhere.url, **body()}
    served.client.post("/v1/predictions", json=given)
    elsewhere.until(2)
    for *_, headers, _ in elsewhere.requests:
        assert "webhook-signature" in headers
        assert "authorization" not in headers


def test_a_killed_server_goes_on_and_uploads(tmp_path: Path, elsewhere: Elsewhere) -> None:
    settings = ServerSettings(
        page=False, machine=Settings(slots=1), data_dir=tmp_path, drain_s=0.0, allow_private=True
    )
    with serving(settings) as served:
        made = begin(ready(served), "slow 1", output_file_prefix=f"{elsewhere.url}/", id="mine")
    assert not elsewhere.requests
    with serving(settings) as served:
        served.until(made["id"])
        told = served.client.put("/predictions/mine", json=body()).json()
    assert told["output"] == f"{elsewhere.url}/out.wav"


def test_settings_are_read() -> None:
    variables = {"TOCCATA_UPLOAD_URL": "http://here/up/", "WEBHOOK_AUTH_TOKEN": "t0ken"}
    settings = read_server(Settings(), environment=variables)
    assert (settings.upload_url, settings.cog_webhook_token) == ("http://here/up", "t0ken")
    settings = read_server(Settings(), environment={}, upload_url="https://there")
    assert (settings.upload_url, settings.cog_webhook_token) == ("https://there", None)


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_uploads_that_hang_stop_nobody_else(
    serve: Serve, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toccata.server.predictions.dispatcher.MAX_STORING", 1)
    monkeypatch.setattr(cog_outputs, "MAX_UPLOADS_PER_OWNER", 2)
    served = ready(serve(slots=1, allow_private=True))
    for number in range(5):
        wait_until(lambda: health(served) == "READY")
        begin(served, "piano", output_file_prefix=silent, id=f"hangs{number}")
    wait_until(lambda: health(served) == "READY")
    made = served.client.post(
        "/v1/predictions",
        json={"version": SEED_VERSION, "input": {"prompt": "piano", "duration": 1}},
        headers={"Prefer": "wait=20"},
    ).json()
    assert made["status"] == "succeeded"


def test_an_upload_that_hangs_is_given_up(
    serve: Serve, silent: str, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cog_outputs, "UPLOAD_TIMEOUT_S", 0.5)
    served = ready(serve(allow_private=True))
    made = run(served, output_file_prefix=silent)
    assert made["status"] == "failed"
    assert "did not take an output within 0.5 s" in made["error"]
    assert run(served, output_file_prefix=f"{elsewhere.url}/")["status"] == "succeeded"
