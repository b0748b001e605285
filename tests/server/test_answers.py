"""Small promises of answers: no inner paths, pages of uploads, documents without the internet."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.server.conftest import TIMEOUT_S, Serve, Served
from toccata.errors import InputError
from toccata.server.api import dependencies
from toccata.server.api.cog.cog_outputs import _inside
from toccata.server.app import check_start
from toccata.server.config import ServerSettings, read_server
from toccata.server.outbound import _headers
from toccata.server.predictions.webhook_events import _as_cog
from toccata.server.predictions.webhooks import _json
from toccata.server.storage.repository import Repository
from toccata.server.views import without_paths
from toccata.settings import Settings


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve()


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("/srv/data/work/a/b/input: is of an unknown type", "input: is of an unknown type"),
        ("toccata-data/work/a/b/input: is damaged", "input: is damaged"),
        ("cannot open '/home/me/x.wav'", "cannot open 'x.wav'"),
        ("'https://a.b/c/d/e': did not answer", "'https://a.b/c/d/e': did not answer"),
        ("'/v1/files/abc' is gone", "'/v1/files/abc' is gone"),
        ("meta/musicgen/x is unknown", "meta/musicgen/x is unknown"),
        ("data:audio/wav;base64,/a/b/c", "data:audio/wav;base64,/a/b/c"), (None, None),
    ],
)  # fmt: skip
def test_errors_name_no_folder_of_the_server(error: str | None, shown: str | None) -> None:
    assert without_paths(error) == shown


def test_a_failed_prediction_names_no_folder(served: Served, tmp_path: Path) -> None:
    made = served.until(served.create()["id"])
    store = Repository(served.app.state.parts.settings.database_url)
    known = store.get(made["id"])
    assert known is not None
    error = f"{tmp_path}/data/work/a/b/input: is of an unknown type"
    values = {**vars(known), "id": "failed", "key": "k", "status": "failed", "error": error}
    store.add(type(known)(**values))
    store.close()
    for text in (
        served.client.get("/v1/predictions/failed").text,
        served.client.get("/v1/predictions").text, served.client.get("/v1/files/k/stream").text,
    ):  # fmt: skip
        assert "input: is of an unknown type" in text
        assert str(tmp_path) not in text


def test_uploads_are_listed_in_pages(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toccata.server.api.replicate.file_routes.PAGE_SIZE", 2)
    ids = [
        served.client.post("/v1/files", files={"content": (f"{n}.wav", b"1")}).json()["id"]
        for n in range(5)
    ]
    found: list[str] = []
    pages, url = 0, f"{served.url}/v1/files"
    while url:
        page: dict[str, Any] = served.client.get(url).json()
        found += [file["id"] for file in page["results"]]
        pages, url = pages + 1, page["next"]
    assert (sorted(found), pages) == (sorted(ids), 3)
    assert served.client.get("/v1/files?cursor=x").status_code == 400


def test_the_documents_are_there_without_the_internet(served: Served) -> None:
    page = served.client.get("/docs").text
    assert "POST /v1/predictions" in page
    assert "PredictionRequest" in page
    addresses = re.findall(r"(?:src|href)=\"([^\"]*)\"", page)
    assert {one for one in addresses if not one.startswith("#")} == {"v1/openapi.json"}
    assert {one[1:] for one in addresses if one.startswith("#")} <= set(
        re.findall('id="([^"]+)"', page)
    )


def test_a_storage_that_cannot_be_is_named_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for storage in ("nonsense://bucket", str(tmp_path / "file" / "below")):
        settings = ServerSettings(machine=Settings(), data_dir=tmp_path, storage=storage)
        with pytest.raises(InputError, match="storage"):
            check_start(settings)


@pytest.mark.parametrize(
    ("folder", "whole"),
    [
        ("https://h/up", "https://h/up/a%20b%3F.wav"), ("https://h/up/", "https://h/up/a%20b%3F.wav"),
        ("https://h/up?sig=a/b", "https://h/up/a%20b%3F.wav?sig=a/b"), ("https://h", "https://h/a%20b%3F.wav"),
    ],
)  # fmt: skip
def test_an_upload_goes_into_the_path_and_keeps_the_query(folder: str, whole: str) -> None:
    assert _inside(folder, "a b?.wav") == whole


def test_an_upload_address_may_be_signed() -> None:
    settings = read_server(Settings(), environment={}, upload_url="https://h/up/?sig=a")
    assert settings.upload_url == "https://h/up?sig=a"


def test_webhooks_of_the_cog_api_come_from_a_cog_container() -> None:
    seen: list[Mapping[str, str]] = []

    async def post(url: str, body: bytes, headers: Mapping[str, str], owner: str) -> int:
        seen.append(headers)
        return 200

    async def scenario() -> None:
        await _as_cog(post)("https://a.b/", b"{}", {"Authorization": "Bearer x"}, "a")

    asyncio.run(scenario())
    assert seen == [{"Authorization": "Bearer x", "User-Agent": "cog-worker/0.16.12"}]
    address = httpx2.URL("https://a.b/")
    assert dict(_headers(address, {}))[b"user-agent"] == b"toccata"
    assert dict(_headers(address, seen[0]))[b"user-agent"] == b"cog-worker/0.16.12"
    assert dict(_headers(address, {"Host": "evil"}))[b"host"] == b"a.b"


def test_a_webhook_of_an_odd_row_is_sent() -> None:
    assert _json({"n": float("nan"), "a": "b\ud800", "c": [1]}) == (
        b'{"n":null,"a":"b\xef\xbf\xbd","c":[1]}'
    )


@pytest.mark.parametrize(
    "path",
    ["/v1/predictions/{id}", "/v1/files/{key}/stream", "/outputs/{key}/audio?form=mp3"],
)
def test_a_storage_that_hangs_is_waited_for_briefly(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(dependencies, "READ_TIMEOUT_S", 0.1)
    served, free = serve(output_urls="data"), threading.Event()
    made = served.until(served.create()["id"])
    key = served.app.state.parts.store.blocking.get(made["id"]).key
    storage = served.app.state.parts.storage.blocking
    for name in ("read", "size"):
        monkeypatch.setattr(storage, name, lambda _: free.wait(TIMEOUT_S))
    try:
        refused = served.client.get(path.format(id=made["id"], key=key))
    finally:
        free.set()
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert "storage" in refused.json()["detail"]
