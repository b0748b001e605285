"""The real runtime of Cog containers and our Cog API, asked the same: do they say the same?"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.clients.conftest import CLIENTS, PATIENCE_S, PROGRAMS
from tests.server.conftest import serving
from toccata.server.config import ServerSettings
from toccata.settings import Settings

JSON = {"Content-Type": "application/json"}
ASYNC = {**JSON, "Prefer": "respond-async"}
PIANO = {"prompt": "piano", "duration": 1}
SLOW = {"prompt": "slow 60", "duration": 1}
COG_YAML = 'predict: "cog_predictor.py:Predictor"\n'
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")

Said = dict[str, Any]  # flat: "status", "body.detail.0.msg" and so on -> what is there


def _post(given: Any, **more: Any) -> Said:
    return {"method": "POST", "url": "/predictions", "json": {"input": given, **more}}


def _text(text: str) -> Said:
    return {"method": "POST", "url": "/predictions", "content": text, "headers": JSON}


def _put(name: str, **more: Any) -> Said:
    return {"method": "PUT", "url": f"/predictions/{name}", "json": {"input": PIANO, **more}}


# What is asked, in this order. "until" waits for a state of health first.
QUESTIONS: Mapping[str, Said] = {
    "index": {"method": "GET", "url": "/"},
    "ready": {"method": "GET", "url": "/health-check"},
    "sync": _post(PIANO, id="first"),
    "sync without an id": _post(PIANO),
    "all defaults": _post({"prompt": "x"}, id="defaults"),
    "unknown names": _post({**PIANO, "tempo": 1}, id="unknown", colour="red"),
    "coerced": _post(
        {"prompt": 12, "duration": "2", "top_k": 1.5, "continuation": "no", "top_p": "0.5"},
        id="coerced",
    ),
    "null for what has no default": _post({**PIANO, "seed": None}, id="null"),
    "null for what has one": _post({**PIANO, "duration": None}),
    "no number": _post({**PIANO, "duration": "long", "temperature": "hot"}),
    "out of range": _post({**PIANO, "duration": 31, "continuation_start": -1}),
    "not a choice": _post({**PIANO, "output_format": "ogg"}),
    "not true or false": _post({**PIANO, "continuation": "perhaps"}),
    "not a text": _post({**PIANO, "prompt": ["piano"]}),
    "not an address": _post({**PIANO, "input_audio": "notaurl"}),
    "inputs that are none": _post(3),
    "no JSON": _text('{"input"'),
    "no object": _text("[1]"),
    "unknown event": _post(PIANO, webhook="http://127.0.0.1:1/", webhook_events_filter=["x"]),
    "webhook without a scheme": _post(PIANO, webhook="nowhere"),
    "failed": _post({**PIANO, "prompt": "fail"}, id="failed"),
    "audio that cannot be had": _post({**PIANO, "input_audio": "http://127.0.0.1:1/a.wav"}),
    "other id than in the address": _put("one", id="two"),
    "put": _put("put"),
    "async": {**_post(SLOW, id="slow"), "headers": ASYNC},
    "busy": {"method": "GET", "url": "/health-check"},
    "one too many": _post(PIANO),
    "put while it runs": _put("slow"),
    "put of another": _put("other"),
    "cancel": {"method": "POST", "url": "/predictions/slow/cancel"},
    "after it": {"method": "GET", "url": "/health-check", "until": "READY"},
    "cancel again": {"method": "POST", "url": "/predictions/slow/cancel"},
    "cancel what is not there": {"method": "POST", "url": "/predictions/none/cancel"},
    "get": {"method": "GET", "url": "/predictions/first"},
    "another method": {"method": "DELETE", "url": "/predictions"},
    "another path": {"method": "GET", "url": "/nothing"},
}
# (questions, places, why ours is another there): the status of an answer is nowhere among them.
DIFFERENCES = (
    (".*", "body.created_at", "a container tells what it was told; ours says when it was created"),
    ("async|put while it runs", "body.(created|started)_at", "ours is written down, then started"),
    (".*", "body.id", "a container may have none; ours is kept, and needs one"),
    (".*", "body.output", "audio/wav is the type that is registered with players, not audio/x-wav"),
    ("one too many|put of another", "body.(error|status)", "what newer containers say is added"),
    ("failed", "body.metrics.*", "ours says how long it took, as for those that succeed"),
    (
        "audio that cannot be had",
        "body.(error|started_at|metrics.*)",
        "it is fetched before a start",
    ),
    ("no JSON", "body.detail.0.(ctx.error|input)", "what the parser says is not repeated"),
    ("not an address", "body.detail.0.msg", "other words"),
    ("unknown event", "body.detail.0.*", "the list is checked as one"),
    ("webhook without a scheme", "body.detail.0.(msg|type)", "one type for all that is wrong"),
    ("get|another (method|path)", "body.*", "a problem, as at the other API"),
)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A container's server, as a process of its own."""
    folder = tmp_path_factory.mktemp("cog")
    shutil.copy(PROGRAMS / "cog_predictor.py", folder)
    (folder / "cog.yaml").write_text(COG_YAML, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        _running(folder, port),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client,
    ):
        _until(client, "READY")
        yield client


@contextmanager
def _running(folder: Path, port: int) -> Iterator[None]:
    python = CLIENTS / "cog" / "bin" / "python"
    assert python.exists(), "the runtime of Cog is not installed: run scripts/setup-clients"
    command = [str(python), "-m", "cog.server.http", "--host", "127.0.0.1"]
    environment = {"PATH": os.environ["PATH"], "PORT": str(port), "TMPDIR": str(folder)}
    log = (folder / "log").open("wb")
    with (
        log,
        subprocess.Popen(  # noqa: S603
            command, cwd=folder, env=environment, stdout=log, stderr=log
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Our server, with one slot, as a container has."""
    settings = ServerSettings(
        page=False, machine=Settings(slots=1), data_dir=tmp_path_factory.mktemp("ours"), drain_s=0.0
    )
    with serving(settings) as served:
        _until(served.client, "READY")
        yield served.client


@pytest.fixture(scope="module")
def said(runtime: httpx2.Client, ours: httpx2.Client) -> Mapping[str, tuple[Said, Said]]:
    """What both say to each of the questions."""
    theirs, own = _conversation(runtime), _conversation(ours)
    return {name: (theirs[name], own[name]) for name in QUESTIONS}


@pytest.mark.parametrize("question", QUESTIONS)
def test_both_say_the_same(said: Mapping[str, tuple[Said, Said]], question: str) -> None:
    unexplained = {
        place: (theirs, own)
        for place, theirs, own in _different(*said[question])
        if not any(_explains(each, question, place) for each in DIFFERENCES)
    }
    assert unexplained == {}


def test_no_difference_is_listed_that_is_gone(said: Mapping[str, tuple[Said, Said]]) -> None:
    found = [(name, place) for name, both in said.items() for place, *_ in _different(*both)]
    assert [each for each in DIFFERENCES if not any(_explains(each, *one) for one in found)] == []


def test_both_publish_the_same_inputs_and_paths(
    runtime: httpx2.Client, ours: httpx2.Client
) -> None:
    theirs, own = (_published(client) for client in (runtime, ours))
    asked = theirs["schemas"].pop("PredictionRequest")["properties"]
    own_asked = own["schemas"].pop("PredictionRequest")["properties"]
    assert asked.keys() - own_asked.keys() == {"context"}  # it is not heeded
    assert own_asked.keys() - asked.keys() == set()
    assert theirs == own


def _different(theirs: Said, own: Said) -> Iterator[tuple[str, Any, Any]]:
    for place in sorted(theirs.keys() | own.keys()):
        pair = theirs.get(place, "absent"), own.get(place, "absent")
        if pair[0] != pair[1]:
            yield place, *pair


def _explains(difference: tuple[str, str, str], question: str, place: str) -> bool:
    questions, places, _ = difference
    return bool(re.fullmatch(questions, question) and re.fullmatch(places, place))


def _conversation(client: httpx2.Client) -> dict[str, Said]:
    return {name: _ask(client, **question) for name, question in QUESTIONS.items()}


def _ask(client: httpx2.Client, until: str | None = None, **question: Any) -> Said:
    if until is not None:
        _until(client, until)
    answer = client.request(**question)
    return {"status": answer.status_code, **dict(_flat("body", answer.json()))}


def _flat(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every leaf, with what differs from time to time put in words."""
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    if isinstance(inner, dict) and inner:
        for name, each in inner.items():
            yield from _flat(f"{place}.{name}", each)
    else:
        yield place, _lasting(place, value)


def _lasting(place: str, value: Any) -> Any:
    if isinstance(value, str) and _TIME.fullmatch(value):
        return "a time"
    if place == "body.output" and value is not None:
        return str(value).partition(",")[0]
    if place == "body.metrics.predict_time":
        return type(value).__name__
    return "a text" if place.endswith("logs") else value


def _published(client: httpx2.Client) -> dict[str, Any]:
    """What a document says that programs rely on: all but words."""
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    return {
        "openapi": document["openapi"],
        "info": document["info"],
        "routes": {path: sorted(each) for path, each in document["paths"].items()},
        "ids": {
            each["operationId"] for path in document["paths"].values() for each in path.values()
        },
        "schemas": {name: _wordless(each) for name, each in schemas.items()},
    }


def _wordless(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    return {
        name: _wordless(each)
        for name, each in schema.items()
        if name != "description" or isinstance(each, dict)
    }


def _until(client: httpx2.Client, state: str) -> None:
    ends = time.monotonic() + PATIENCE_S
    while _health(client) != state:
        assert time.monotonic() < ends, f"it does not become {state}"
        time.sleep(0.05)


def _health(client: httpx2.Client) -> str:
    try:
        return str(client.get("/health-check").json()["status"])
    except httpx2.TransportError:
        return "not there yet"
