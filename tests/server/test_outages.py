"""What the server depends on is slow, hung or dead for a while: nothing is lost, and it answers."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.server import fake_worker, odd_workers
from tests.server.conftest import SEED_VERSION, TIMEOUT_S, Serve, Served
from tests.server.postgres import Postgres
from tests.server.puppet import Play, Stage
from tests.server.test_chaos import Program, program
from toccata.server.config import ServerSettings
from toccata.server.predictions import retention
from toccata.server.predictions.retention import keep_tidy
from toccata.server.predictions.webhooks import Hook, Webhooks
from toccata.server.storage import blobs, lease, readiness
from toccata.server.storage.blobs import BlobStorage
from toccata.server.storage.repository import Repository
from toccata.server.worker import supervisor

AT_ONCE_S = 2.0  # long for an answer that waits for nothing, on a busy machine


def until(true: Callable[[], Any]) -> None:
    ends = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def alive(served: Served) -> bool:
    return served.client.get("/healthz", timeout=AT_ONCE_S).status_code == 200


def ready(served: Served) -> dict[str, Any]:
    answer = served.client.get("/readyz", timeout=AT_ONCE_S)
    return {"code": answer.status_code, **answer.json()}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "POLL_INTERVAL_S", 0.05)
    monkeypatch.setattr(readiness, "RENEW_INTERVAL_S", 0.1)
    monkeypatch.setattr(supervisor, "WATCH_INTERVAL_S", 0.05)
    monkeypatch.setattr(supervisor, "RESTART_DELAYS_S", (0.0,))


def test_somebody_else_locks_the_database(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    made = served.create(prompt="slow 0.5")
    with closing(sqlite3.connect(tmp_path / "data" / "server.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused: list[httpx2.Response] = []
        body = {"version": SEED_VERSION, "input": {"prompt": "piano"}}
        create = threading.Thread(
            target=lambda: refused.append(served.client.post("/v1/predictions", json=body))
        )
        create.start()
        while create.is_alive():
            assert alive(served)
            assert served.get(made["id"])["id"] == made["id"]
        assert refused[0].status_code == 503
        until(lambda: ready(served)["database"] == "down")
        other.execute("ROLLBACK")
    assert served.until(made["id"])["status"] == "succeeded"
    until(lambda: ready(served)["code"] == 200)
    # Who was told that it is not accepted finds it nowhere.
    until(lambda: [one["id"] for one in listed(served)] == [made["id"]])


def test_a_retry_of_what_was_refused_is_accepted(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    body = {"version": SEED_VERSION, "input": {"prompt": "piano", "duration": 1}}
    with closing(sqlite3.connect(tmp_path / "data" / "server.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert served.client.post("/v1/predictions", json=body).status_code == 503
        other.execute("ROLLBACK")
    headers = {"x-stainless-retry-count": "1"}
    answer = served.client.post("/v1/predictions", json=body, headers=headers)
    assert answer.status_code == 201
    assert served.until(answer.json()["id"])["status"] == "succeeded"


def test_a_retry_that_overtakes_its_request_is_the_same_prediction(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, free = serve(), threading.Event()
    store = served.app.state.parts.store.blocking
    add = store.add

    def late(prediction: Any) -> None:
        free.wait(2.0)
        add(prediction)

    monkeypatch.setattr(store, "add", late)
    body = {"version": SEED_VERSION, "input": {"prompt": "piano", "duration": 1}}
    answers: list[httpx2.Response] = []

    def create(retries: str) -> None:
        headers = {"x-stainless-retry-count": retries}
        answers.append(served.client.post("/v1/predictions", json=body, headers=headers))

    threads = [threading.Thread(target=create, args=(count,)) for count in "01"]
    for thread in threads:
        thread.start()
        time.sleep(0.3)
    free.set()
    for thread in threads:
        thread.join()
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(listed(served)) == 1


def listed(served: Served) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.client.get("/v1/predictions").json()["results"]
    return found


def test_the_database_hangs(serve: Serve, database: str, cluster: Postgres) -> None:
    served = serve(database=database)
    made = served.create(prompt="slow 0.3")
    pids = backends(cluster)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            assert alive(served)
        answer = served.client.get(f"/v1/predictions/{made['id']}")
        assert (answer.status_code, "database" in answer.text) == (503, True)
        assert alive(served)
        until(lambda: ready(served)["database"] == "down")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert served.until(made["id"])["status"] == "succeeded"
    until(lambda: ready(served)["code"] == 200)


def backends(cluster: Postgres) -> list[int]:
    """All processes of the database."""
    first = int((cluster.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    found = [first]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if parent == str(first):
            found.append(int(stat.parent.name))
    return found


def test_a_restarted_database_still_belongs_to_its_server(
    serve: Serve, database: str, cluster: Postgres
) -> None:
    served = serve(database=database)
    cluster.stop()
    cluster.start()
    with (
        closing(Repository(database)) as other,
        pytest.raises(Exception, match="another server uses"),
    ):
        other.claim("another folder")
    assert served.until(served.create()["id"])["status"] == "succeeded"


def test_a_server_that_was_replaced_stops(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    running = served.create(prompt="slow 60")
    served.until(running["id"], "processing")
    monkeypatch.setattr(lease, "LEASE_S", 0.0)  # as if it had been away for long
    with closing(Repository(f"sqlite:///{tmp_path / 'data' / 'server.db'}")) as other:
        other.claim("another folder")
        served.thread.join(TIMEOUT_S)
        assert not served.thread.is_alive()
        found = other.get(running["id"])
        assert found is not None
        assert not found.ended


def test_the_storage_is_down_for_a_while(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve()
    before = served.until(served.create()["id"])
    files = served.app.state.parts.storage.blocking._files

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("Could not connect to http://10.1.2.3:9000/bucket")

    with monkeypatch.context() as broken:
        for name in ("open", "exists", "size"):
            broken.setattr(files, name, fail)
        made = served.create()
        until(lambda: ready(served)["storage"] == "down")
        assert ready(served)["code"] == 503
        answer = served.client.get(before["output"])
        assert (answer.status_code, answer.headers["content-type"]) == (
            503, "application/problem+json",
        )  # fmt: skip
        assert "10.1.2.3" not in answer.text
        time.sleep(0.3)
        now = served.get(made["id"])
        assert (now["status"], now["error"]) == ("processing", None)
        assert alive(served)
    assert served.until(made["id"])["status"] == "succeeded"
    until(lambda: ready(served)["code"] == 200)
    assert served.client.get(before["output"]).status_code == 200


def test_a_storage_that_takes_no_files_is_noticed(serve: Serve, tmp_path: Path) -> None:
    served, folder = serve(), tmp_path / "data" / "files"
    until(lambda: ready(served)["code"] == 200)
    folder.rename(tmp_path / "elsewhere")
    folder.touch()
    until(lambda: ready(served)["storage"] == "down")
    folder.unlink()
    (tmp_path / "elsewhere").rename(folder)
    until(lambda: ready(served)["code"] == 200)


def test_the_storage_hangs(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "PING_TIMEOUT_S", 0.2)
    served, free = serve(), threading.Event()
    files = served.app.state.parts.storage.blocking._files
    opened, there = files.open, files.exists

    def hang(call: Callable[..., Any]) -> Callable[..., Any]:
        def late(*arguments: Any, **named: Any) -> Any:
            assert free.wait(TIMEOUT_S)
            return call(*arguments, **named)

        return late

    monkeypatch.setattr(files, "open", hang(opened))
    monkeypatch.setattr(files, "exists", hang(there))
    made = [served.create() for _ in range(6)]
    until(lambda: ready(served)["storage"] == "down")
    assert alive(served)
    free.set()
    assert [served.until(one["id"])["status"] for one in made] == ["succeeded"] * 6


def test_tidying_goes_on_after_any_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[float] = []

    def tidy(*arguments: Any) -> None:
        calls.append(arguments[3])
        raise KeyError("a library's own error")

    monkeypatch.setattr(retention, "tidy", tidy)
    monkeypatch.setattr(retention, "INTERVAL_S", 0.0)

    async def act() -> None:
        store: Any = None
        task = asyncio.create_task(keep_tidy(ServerSettings(), store, store, store))
        while len(calls) < 3:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(act())
    assert "expired data was not removed" in caplog.text


def test_webhooks_go_on_after_any_error(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[bytes] = []

    async def post(_: str, body: bytes, __: object, ___: str) -> int:
        sent.append(body)
        if len(sent) == 1:
            raise KeyError("a library's own error")
        return 200

    async def act() -> None:
        hooks = Webhooks(post, None)
        hook = Hook("http://x", frozenset({"start", "completed"}))
        hooks.notify("one", hook, "start", {"n": 1})
        hooks.notify("one", hook, "completed", {"n": 2})
        await hooks.drain(TIMEOUT_S)

    asyncio.run(act())
    assert sent == [b'{"n":1}', b'{"n":2}']
    assert "webhook start of one was not sent" in caplog.text


@contextmanager
def drip() -> Iterator[str]:
    """The address of a server that sends a byte a second."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            while not over.wait(1.0):
                self.wfile.write(b"x")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/slow.wav"
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_addresses_that_answer_slowly_hold_nobody_up(serve: Serve) -> None:
    served = serve(slots=1, allow_private=True)
    with drip() as url:
        slow = [served.create(input_audio=url) for _ in range(4)]
        assert served.until(served.create()["id"])["status"] == "succeeded"
        assert {served.get(one["id"])["status"] for one in slow} == {"starting"}
        for one in slow:
            served.client.post(f"/v1/predictions/{one['id']}/cancel")


def test_a_worker_that_hangs_is_replaced(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve()
    made = served.create(prompt="slow 1")
    served.until(made["id"], "processing")
    pid = served.predictions.supervisor.pid
    assert pid is not None
    monkeypatch.setattr(supervisor, "HEARTBEAT_TIMEOUT_S", 1.0)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: served.predictions.supervisor.pid not in (pid, None))
    monkeypatch.setattr(supervisor, "HEARTBEAT_TIMEOUT_S", 60.0)
    assert served.until(made["id"])["status"] == "succeeded"


def test_a_worker_whose_jobs_make_no_step_is_replaced(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_worker, "run", odd_workers.stalled)
    served = serve()
    pid = served.predictions.supervisor.pid
    until(lambda: served.predictions.supervisor.pid not in (pid, None))


def test_a_worker_that_cannot_start_says_why(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_worker, "run", odd_workers.without_device)
    served = serve()
    until(lambda: served.client.get("/health-check").json()["status"] == "SETUP_FAILED")
    setup = served.client.get("/health-check").json()["setup"]
    assert (setup["status"], setup["logs"]) == ("failed", "device: there is no GPU here")
    assert alive(served)
    assert ready(served)["code"] == 503
    body = {"version": SEED_VERSION, "input": {"prompt": "piano"}}
    answer = served.client.post("/v1/predictions", json=body)
    assert answer.status_code == 503
    assert "/health-check" in answer.json()["detail"]
    time.sleep(0.3)  # the worker is gone by now, and the reason is still told
    assert served.client.get("/health-check").json()["status"] == "SETUP_FAILED"


def test_who_is_killed_from_outside_is_not_blamed(serve: Serve) -> None:
    served = serve(slots=1)
    made = served.create(prompt="slow 0.5")
    for _ in range(5):
        served.until(made["id"], "processing")
        until(lambda: served.predictions.supervisor.state == "ready")
        pid = served.predictions.supervisor.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: served.predictions.supervisor.pid not in (pid, None))  # type: ignore[misc]
    ended = served.until(made["id"])
    assert ended["status"] == "succeeded"
    assert served.app.state.parts.store.blocking.get(made["id"]).attempts == 0


def test_what_took_the_whole_server_down_is_suspected(tmp_path: Path) -> None:
    with program(tmp_path / "data") as running:
        made = create(running, "slow 60")
        wait_for(running, made, "processing")
        running.end()
        running.start()
        wait_for(running, made, "processing")
        assert attempts(tmp_path, made) == 1
        running.end(signal.SIGTERM)  # which is nobody's fault
        running.start()
        assert attempts(tmp_path, made) == 1


def test_what_takes_every_server_down_fails(play: Play) -> None:
    made: list[str] = []

    async def first(stage: Stage) -> None:
        made.append(await stage.create())
        await stage.begin(*made)

    async def again(stage: Stage) -> None:
        await stage.begin(*made)

    async def last(stage: Stage) -> None:
        await stage.settle()
        assert stage.now(made[0]).status == "failed"
        assert "died 3 times" in str(stage.now(made[0]).error)
        assert stage.puppet.told == []

    play(first)
    play(again, crashed=True)
    play(again, crashed=True)
    play(last, crashed=True)


def test_several_that_ran_when_the_server_died_run_one_by_one(play: Play) -> None:
    made: list[str] = []

    async def first(stage: Stage) -> None:
        made.extend([await stage.create() for _ in range(3)])
        await stage.begin(*made[:2])

    async def second(stage: Stage) -> None:
        await stage.begin(made[0])
        assert stage.puppet.told == [f"run {made[0]}"]

    async def third(stage: Stage) -> None:  # only the one that ran again is to blame
        await stage.settle()
        assert [stage.now(one).attempts for one in made] == [1, 0, 0]

    play(first, slots=2)
    play(second, slots=2, crashed=True)
    play(third, slots=2, crashed=True)


def create(running: Program, prompt: str) -> str:
    body = {"version": SEED_VERSION, "input": {"prompt": prompt, "duration": 1}}
    return str(running.client.post("/v1/predictions", json=body).json()["id"])


def wait_for(running: Program, prediction_id: str, status: str) -> None:
    url = f"/v1/predictions/{prediction_id}"
    until(lambda: running.client.get(url).json()["status"] == status)


def attempts(folder: Path, prediction_id: str) -> int:
    with closing(Repository(f"sqlite:///{folder / 'data' / 'server.db'}")) as store:
        found = store.get(prediction_id)
    assert found is not None
    return found.attempts


def test_a_longest_duration_can_be_set(serve: Serve) -> None:
    served = serve(max_duration_s=5.0)
    body = {"version": SEED_VERSION, "input": {"prompt": "piano", "duration": 6}}
    answer = served.client.post("/v1/predictions", json=body)
    assert answer.status_code == 422
    assert "at most 5 s" in answer.text
    until(lambda: ready(served)["code"] == 200)
    answer = served.client.post("/predictions", json={"input": {"prompt": "piano", "duration": 6}})
    assert answer.status_code == 422
    assert served.until(served.create(duration=5)["id"])["status"] == "succeeded"


def test_storage_tells_what_failed_only_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = BlobStorage(str(tmp_path / "files"))
    (tmp_path / "files" / "outputs").write_bytes(b"")  # where a folder is to be
    (tmp_path / "made").write_bytes(b"music")
    with caplog.at_level(logging.ERROR), pytest.raises(blobs.StorageError) as caught:
        kept.put("outputs/x/out.wav", tmp_path / "made")
    assert str(tmp_path) not in str(caught.value)
    assert str(tmp_path) in caplog.text
