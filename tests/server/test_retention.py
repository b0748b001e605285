"""What has had its time is removed, even if something else cannot be removed now."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import TIMEOUT_S, Serve
from tests.server.test_inline import ENCODE_DECODE, data_uri
from tests.server.test_repository import prediction
from toccata.server.config import ServerSettings
from toccata.server.predictions import retention
from toccata.server.predictions.retention import tidy
from toccata.server.storage.blobs import BlobStorage, StorageError
from toccata.server.storage.repository import Repository, StoredFile

LONG_AGO = 100.0
SETTINGS = ServerSettings(retention_s=60.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Repository]:
    with closing(Repository(f"sqlite:///{tmp_path / 'server.db'}")) as opened:
        yield opened


class Stuck(BlobStorage):
    """Some names cannot be removed."""

    stuck: tuple[str, ...] = ()

    def remove(self, name: str) -> None:
        if name in self.stuck:
            raise StorageError
        super().remove(name)


@pytest.fixture
def storage(tmp_path: Path) -> Stuck:
    return Stuck(str(tmp_path / "files"))


def put(storage: BlobStorage, folder: Path, *names: str) -> None:
    (folder / "made").write_bytes(b"music")
    for name in names:
        storage.put(name, folder / "made")


def kept(folder: Path) -> set[str]:
    files = folder / "files"
    found = (path for path in files.glob("*/**/*") if path.is_file())
    return {path.relative_to(files).as_posix() for path in found}


def add_ended(store: Repository, storage: BlobStorage, folder: Path, *ids: str) -> None:
    for one in ids:
        ended = {"status": "succeeded", "completed_at": LONG_AGO, "output": f"outputs/{one}/a.wav"}
        store.add(prediction(one, **ended))
        put(storage, folder, f"outputs/{one}/a.wav")


def wiped(store: Repository, *ids: str) -> list[bool]:
    return [bool(one.data_removed) for id_ in ids if (one := store.get(id_)) is not None]


def test_an_output_that_cannot_be_removed_stops_no_other_and_is_tried_again(
    store: Repository, storage: Stuck, tmp_path: Path
) -> None:
    add_ended(store, storage, tmp_path, "a", "b", "c")
    storage.stuck = ("outputs/b/a.wav",)
    tidy(SETTINGS, store, storage, time.time())
    assert kept(tmp_path) == {"outputs/b/a.wav"}
    assert wiped(store, "a", "b", "c") == [True, False, True]
    storage.stuck = ()
    tidy(SETTINGS, store, storage, time.time())
    assert kept(tmp_path) == set()
    assert wiped(store, "b") == [True]


def test_an_upload_that_cannot_be_removed_stops_no_other(
    store: Repository, storage: Stuck, tmp_path: Path
) -> None:
    for one in "abc":
        store.add_file(StoredFile(one, 0.0, LONG_AGO, "x", "audio/wav", 5, "", "", {}))
        put(storage, tmp_path, f"files/{one}")
    storage.stuck = ("files/b",)
    assert sorted(tidy(SETTINGS, store, storage, time.time())) == ["a", "c"]
    assert [file.id for file in store.files(10)] == ["b"]
    assert kept(tmp_path) == {"files/b"}


def test_bytes_of_an_upload_that_was_cut_off_are_removed(
    store: Repository, storage: Stuck, tmp_path: Path
) -> None:
    for one, noted_at in (("lost", LONG_AGO), ("known", LONG_AGO), ("coming", time.time())):
        store.note_upload(one, "me", noted_at)
        put(storage, tmp_path, f"files/{one}")
    store.add_file(StoredFile("known", 0.0, time.time() + 60, "x", "audio/wav", 5, "", "", {}))
    assert tidy(SETTINGS, store, storage, time.time()) == ["lost"]
    assert kept(tmp_path) == {"files/known", "files/coming"}
    assert store.upload_owners() == {"known": "me", "coming": "me"}


def test_nothing_more_is_removed_once_the_server_stops(
    store: Repository, storage: Stuck, tmp_path: Path
) -> None:
    add_ended(store, storage, tmp_path, "a", "b")
    over = threading.Event()
    over.set()
    assert tidy(SETTINGS, store, storage, time.time(), over) == []
    assert wiped(store, "a", "b") == [False, False]


def test_there_is_room_for_uploads_once_those_before_are_wiped(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "INTERVAL_S", 0.05)
    served = serve(retention_s=0.1, upload_bytes=1500)
    given: dict[str, Any] = {"input_audio": data_uri(b"x" * 1000), **ENCODE_DECODE}
    served.until(served.create(**given)["id"])
    ends = time.monotonic() + TIMEOUT_S
    while served.client.get("/v1/files").json()["results"]:
        assert time.monotonic() < ends
        time.sleep(0.02)
    time.sleep(0.2)  # the quota hears of it a little later
    assert served.until(served.create(**given)["id"])["status"] == "succeeded"
