"""Uploads are kept whole or not at all, and leave nothing behind that nobody knows of."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import SEED_VERSION, TIMEOUT_S, Serve, Served
from tests.server.test_inline import ENCODE_DECODE, data_uri
from toccata.server.predictions import kept_files, retries
from toccata.server.storage.repository import RepositoryError

MUSIC = b"music" * 80

Send = Callable[[Served], Any]


def by_form(served: Served) -> Any:
    return served.client.post("/v1/files", files={"content": ("a.wav", MUSIC, "audio/wav")})


def inside(served: Served) -> Any:
    given = {"input_audio": data_uri(MUSIC), **ENCODE_DECODE}
    body = {"version": SEED_VERSION, "input": given}
    return served.client.post("/v1/predictions", json=body)


def until_nothing_is_kept(served: Served, folder: Path) -> None:
    ends = time.monotonic() + TIMEOUT_S
    files = folder / "data" / "files" / "files"
    while list(files.iterdir()) or served.client.get("/v1/files").json()["results"]:
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_an_upload_that_the_storage_takes_too_late_is_removed(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "MIN_DELAY_S", 0.0)
    served, free, late = serve(), threading.Event(), list[bool]()
    storage = served.app.state.parts.storage
    put = storage.blocking.put

    def put_late(name: str, source: Path) -> None:
        copied = tmp_path / "copied"
        copied.write_bytes(source.read_bytes())
        assert free.wait(TIMEOUT_S)
        put(name, copied)
        late.append(True)

    monkeypatch.setattr(storage.blocking, "put", put_late)
    monkeypatch.setattr(storage._calls, "_timeout_s", 0.1)
    assert by_form(served).status_code == 503
    monkeypatch.setattr(storage._calls, "_timeout_s", TIMEOUT_S)
    time.sleep(0.3)  # for a removal that would come too soon
    free.set()
    while not late:
        time.sleep(0.01)
    until_nothing_is_kept(served, tmp_path)


def failing(store: Any, name: str, times: int, *, late: bool) -> None:
    """The next calls fail; late: they do what they are asked, and cannot say so."""
    call, calls = getattr(store, name), list[object]()

    def fail(*arguments: Any) -> Any:
        calls.append(arguments)
        if late or len(calls) > times:
            done = call(*arguments)
        if len(calls) <= times:
            raise RepositoryError("the connection is gone")
        return done

    setattr(store, name, fail)


@pytest.mark.parametrize("send", [by_form, inside])
@pytest.mark.parametrize("late", [False, True])
def test_an_upload_that_the_database_did_not_take_is_removed(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, send: Send, late: bool
) -> None:
    monkeypatch.setattr(retries, "MIN_DELAY_S", 0.0)
    served = serve(upload_bytes=700)
    store = served.app.state.parts.store.blocking
    failing(store, "add_file", 1, late=late)
    failing(store, "remove_file", 2, late=False)  # it is away for a while
    assert send(served).status_code == 503
    until_nothing_is_kept(served, tmp_path)
    assert send(served).status_code == 201  # there is room again


@pytest.mark.parametrize("late", [False, True])
def test_audio_inside_a_prediction_that_was_not_accepted_is_removed(
    serve: Serve, tmp_path: Path, late: bool
) -> None:
    served = serve()
    failing(served.app.state.parts.store.blocking, "add", 1, late=late)
    assert inside(served).status_code == 503
    until_nothing_is_kept(served, tmp_path)


@pytest.mark.parametrize("send", [by_form, inside])
def test_a_full_disk_takes_no_uploads_and_says_so(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, send: Send
) -> None:
    served = serve()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(kept_files, "TemporaryDirectory", full)
        assert send(served).status_code == 503
    assert send(served).status_code == 201
    assert not list((tmp_path / "data" / "incoming").iterdir())


def test_what_a_killed_server_had_received_is_removed_at_the_next_start(
    serve: Serve, tmp_path: Path
) -> None:
    left = tmp_path / "data" / "incoming" / "upload"
    left.mkdir(parents=True)
    (left / "content").write_bytes(MUSIC)
    serve()
    assert not left.exists()
