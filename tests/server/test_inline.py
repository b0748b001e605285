"""Audio inside a request: it becomes an upload, and nothing that is kept or sent holds it again."""

from __future__ import annotations

import base64
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.server.cog_client import ready
from tests.server.conftest import SEED_VERSION, TIMEOUT_S, Serve, Served
from tests.server.test_repository import prediction
from toccata.errors import InputError
from toccata.server.api import dependencies
from toccata.server.config import ServerSettings
from toccata.server.predictions.prediction_inputs import SLICE, _decode_into
from toccata.server.predictions.retention import tidy
from toccata.server.storage.blobs import BlobStorage
from toccata.server.storage.repository import Prediction, Repository
from toccata.server.strict_json import read_json

AUDIO = bytes(range(256)) * 4 * 2**10  # 1 MiB
ENCODE_DECODE: dict[str, Any] = {"model_version": "encode-decode"}


def data_uri(content: bytes = AUDIO, kind: str = "audio/wav") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def wrapped(uri: str) -> str:
    """As GNU base64 prints it."""
    head, _, text = uri.partition(",")
    return head + "," + "\n".join(text[at : at + 76] for at in range(0, len(text), 76)) + "\n"


@pytest.mark.parametrize("change", [str, wrapped, lambda uri: uri.replace("+", "%2B")])
def test_it_is_kept_once_as_an_upload(serve: Serve, tmp_path: Path, change: Any) -> None:
    served = serve()
    made = served.create(input_audio=change(data_uri()), **ENCODE_DECODE)
    url = made["input"]["input_audio"]
    assert url.startswith(f"{served.url}/v1/files/")
    file = served.client.get(url).json()
    assert (file["size"], file["content_type"]) == (len(AUDIO), "audio/wav")
    ended = served.until(made["id"])
    assert served.client.get(ended["output"]).content == AUDIO
    assert len(served.client.get("/v1/predictions").content) < 10_000
    database = (tmp_path / "data").glob("server.db*")
    assert sum(path.stat().st_size for path in database) < 2**19


def test_a_hundred_of_them_are_a_short_list(serve: Serve) -> None:
    served, uri = serve(slots=1), data_uri(AUDIO[: 2**17])
    for _ in range(100):
        served.create(prompt="slow 60", input_audio=uri)
    listed = served.client.get("/v1/predictions")
    assert len(listed.json()["results"]) == 100
    assert len(listed.content) < 200_000


def test_a_container_keeps_it_once_too(serve: Serve) -> None:
    served = serve()
    while served.client.get("/readyz").status_code != 200:
        time.sleep(0.02)
    body = {"input": {"input_audio": data_uri(), **ENCODE_DECODE}}
    ended = served.client.post("/predictions", json=body).json()
    assert ended["status"] == "succeeded"
    assert base64.b64decode(ended["output"].partition(",")[2]) == AUDIO
    assert len(ended["input"]["input_audio"]) < 200


@pytest.mark.parametrize(
    "uri",
    [
        "data:audio/wav;base64,UklGR",  # a letter is missing
        "data:audio/wav;base64,UklG!A==",
        "data:audio/wav;base64,UklGRg==UklGRg==",
        data_uri()[:-9] + "*" + data_uri()[-8:],
        "data:audio/wav;base64",
    ],
)
def test_one_that_is_damaged_is_refused(serve: Serve, uri: str) -> None:
    served = serve()
    while served.client.get("/readyz").status_code != 200:
        time.sleep(0.02)
    given = {"input": {"input_audio": uri, **ENCODE_DECODE}}
    for answer in (
        served.client.post("/v1/predictions", json={"version": SEED_VERSION, **given}),
        served.client.post("/predictions", json=given),
    ):
        assert answer.status_code == 422
        assert "input_audio" in answer.text
        assert len(answer.content) < 2000
    assert served.client.get("/v1/predictions").json()["results"] == []


def test_it_is_wiped_with_its_prediction(serve: Serve, tmp_path: Path) -> None:
    served = serve(retention_s=60.0)
    upload = served.client.post("/v1/files", files={"content": ("a.wav", AUDIO, "audio/wav")})
    url = upload.json()["urls"]["get"]
    ids = [served.create(input_audio=one, **ENCODE_DECODE)["id"] for one in (data_uri(), url)]
    for one in ids:
        served.until(one)
    parts = served.app.state.parts
    tidy(parts.settings, parts.store.blocking, parts.storage.blocking, time.time() + 100)
    kept = list((tmp_path / "data" / "files" / "files").iterdir())
    assert [path.name for path in kept] == [upload.json()["id"]]


def test_an_upload_outlives_its_day_while_a_prediction_needs_it(serve: Serve) -> None:
    served = serve(slots=1)
    made = served.create(prompt="slow 60", input_audio=data_uri())
    tidy_late(served)
    assert served.client.get(made["input"]["input_audio"]).status_code == 200
    served.client.post(f"/v1/predictions/{made['id']}/cancel")
    tidy_late(served)
    assert served.client.get(made["input"]["input_audio"]).status_code == 404


def tidy_late(served: Served) -> None:
    parts = served.app.state.parts
    tidy(parts.settings, parts.store.blocking, parts.storage.blocking, time.time() + 10**6)


def test_progress_does_not_write_the_input_anew(serve: Serve) -> None:
    served = serve()
    made = served.create(prompt="slow 0.5")
    ended = served.until(made["id"])
    store = served.app.state.parts.store.blocking
    row: Prediction = store.get(made["id"])
    assert row.logs == ended["logs"]
    assert row.logs.count("it/s]") > 1
    with store._database.begin() as connection:
        assert connection.exec_driver_sql("select count(*) from prediction_logs").scalar() == 0


def test_it_counts_as_an_upload(serve: Serve) -> None:
    served = serve(upload_bytes=3 * 2**19)
    assert served.create(input_audio=data_uri(), **ENCODE_DECODE)["id"]
    body = {"version": SEED_VERSION, "input": {"input_audio": data_uri(), **ENCODE_DECODE}}
    answer = served.client.post("/v1/predictions", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert "no room for more uploads" in answer.json()["detail"]
    assert len(served.client.get("/v1/files").json()["results"]) == 1


def test_an_upload_that_an_open_prediction_names_outlives_the_one_it_came_with(
    serve: Serve,
) -> None:
    served = serve(slots=1, retention_s=60.0)
    first = served.create(input_audio=data_uri(), **ENCODE_DECODE)
    served.until(first["id"])
    busy = served.create(prompt="slow 60")
    url = first["input"]["input_audio"]
    second = served.create(input_audio=url, **ENCODE_DECODE)
    tidy_late(served)
    assert served.get(first["id"])["data_removed"]
    served.client.post(f"/v1/predictions/{busy['id']}/cancel")
    assert served.until(second["id"])["status"] == "succeeded"


def test_tidying_is_quick_whatever_the_address_is(tmp_path: Path) -> None:
    store, storage = (
        Repository(f"sqlite:///{tmp_path / 'server.db'}"),
        BlobStorage(str(tmp_path / "files")),
    )
    for number in range(20):
        audio = "https://127.0.0.1/" + "/v1/files/" * 100_000 + str(number)
        ended = {"status": "succeeded", "completed_at": 1.0}
        store.add(prediction(f"p{number}", input={"input_audio": audio}, **ended))
    tidy(ServerSettings(retention_s=60.0), store, storage, time.time())
    found = store.get("p0")
    store.close()
    assert found is not None
    assert found.data_removed


def test_escapes_do_not_multiply_in_memory(tmp_path: Path) -> None:
    uri = "data:audio/wav;base64," + "%" * 4_000_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="damaged"):
            _decode_into(uri, tmp_path / "input")
        assert tracemalloc.get_traced_memory()[1] < 4 * len(uri)
    finally:
        tracemalloc.stop()
    with pytest.raises(InputError, match="use base64"):
        _decode_into("data:audio/wav," + "%" * 4_000_000, tmp_path / "input")


@pytest.mark.parametrize("shift", range(8))
def test_escapes_across_slices_are_read(tmp_path: Path, shift: int) -> None:
    content = b"\xff" * (SLICE + shift)
    text = base64.b64encode(content).decode().replace("/", "%2f")
    _decode_into(f"data:;base64,{text}", tmp_path / "input")
    assert (tmp_path / "input").read_bytes() == content


@pytest.mark.parametrize("path", ["/v1/predictions", "/predictions"])
def test_long_bodies_are_read_beside_the_event_loop(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    served, free = ready(serve()), threading.Event()

    def slow(text: bytes) -> Any:
        assert free.wait(TIMEOUT_S), "the event loop waits for the body"
        return read_json(text)

    monkeypatch.setattr(dependencies, "read_json", slow)
    given = {"input_audio": data_uri(), **ENCODE_DECODE}
    body = {"version": SEED_VERSION, "input": given}
    with ThreadPoolExecutor(1) as threads:
        created = threads.submit(served.client.post, path, json=body)
        time.sleep(0.3)
        assert served.client.get("/healthz").status_code == 200
        free.set()
        assert created.result().json()["input"]["input_audio"].startswith("http")
