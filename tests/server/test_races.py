"""What may happen while something else is under way; the worker here is a puppet."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import TIMEOUT_S, Serve
from tests.server.puppet import AUDIO, Play, Stage
from tests.server.test_inline import data_uri
from toccata.server.predictions import dispatcher
from toccata.server.predictions.creation import QueueFullError
from toccata.server.storage.blobs import BlobStorage, StorageError
from toccata.server.storage.repository import StoredFile
from toccata.server.worker.protocol import Job


def test_the_worker_dies_while_what_it_made_is_stored(play: Play) -> None:
    async def act(stage: Stage) -> None:
        stage.hold.clear()
        one = await stage.create()
        await stage.begin(one)
        stage.finish(one)
        stage.puppet.die()
        stage.puppet.ready()
        await stage.settle()
        stage.hold.set()
        await stage.settle()
        now = stage.now(one)
        assert (now.status, now.attempts) == ("succeeded", 0)
        assert stage.storage.read(str(now.output)) == b"music"
        assert stage.puppet.told == [f"run {one}"]
        assert stage.heard == [("start", "processing"), ("completed", "succeeded")]
        assert stage.folders() == []

    play(act)


def test_a_slot_is_free_while_what_was_made_is_stored(play: Play) -> None:
    async def act(stage: Stage) -> None:
        stage.hold.clear()
        one, other = await stage.create(), await stage.create()
        await stage.begin(one)
        stage.finish(one)
        await stage.settle()
        assert stage.puppet.told == [f"run {one}", f"run {other}"]
        assert stage.now(one).status == "processing"

    play(act)


def test_it_is_canceled_while_it_is_stored(play: Play) -> None:
    async def act(stage: Stage) -> None:
        stage.hold.clear()
        one = await stage.create()
        await stage.begin(one)
        key = stage.now(one).key

        def put_and_cancel(name: str, source: Path) -> None:
            put(name, source)
            asyncio.run_coroutine_threadsafe(cancel(), loop).result()

        async def cancel() -> None:
            await stage.predictions.cancel(one)

        put, loop = stage.storage.put, asyncio.get_running_loop()
        stage.storage.put = put_and_cancel  # type: ignore[method-assign]
        stage.hold.set()
        stage.finish(one)
        await stage.settle()
        assert stage.now(one).status == "canceled"
        assert stage.now(one).output is None
        with pytest.raises(FileNotFoundError):
            stage.storage.size(f"outputs/{key}/out.wav")
        assert stage.folders() == []
        assert f"cancel {one}" not in stage.puppet.told

    play(act)


def test_what_was_made_is_stored_as_soon_as_that_can_be_done(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(stage: Stage) -> None:
        def fail(name: str, source: Path) -> None:
            raise StorageError

        with monkeypatch.context() as broken:
            broken.setattr(stage.storage, "put", fail)
            one, other = await stage.create(), await stage.create()
            await stage.begin(one)
            stage.finish(one)
            await stage.settle()
            assert stage.now(one).status == "processing"
            assert stage.puppet.told == [f"run {one}", f"run {other}"]
            canceled = await stage.create()
            await stage.predictions.cancel(canceled)
        await stage.settle()
        assert stage.now(one).status == "succeeded"
        assert stage.storage.read(str(stage.now(one).output)) == b"music"
        assert [folder.name for folder in stage.folders()] == [other]

    play(act)


def test_half_an_output_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(given: Any, kept: Any, _: int) -> None:
        kept.write(given.read(3))
        raise OSError("no space left")

    storage, made = BlobStorage(str(tmp_path / "files")), tmp_path / "made"
    made.write_bytes(b"music")
    monkeypatch.setattr("shutil.copyfileobj", half)
    with pytest.raises(StorageError, match="does not answer"):
        storage.put("outputs/x/out.wav", made)
    with pytest.raises(FileNotFoundError):
        storage.size("outputs/x/out.wav")


def test_who_finds_no_memory_lets_others_pass(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "POSTPONED_S", 0.05)

    async def act(stage: Stage) -> None:
        one = await stage.create(input={"input_audio": AUDIO})
        await stage.begin(one)
        other = await stage.create()
        await stage.settle()
        stage.puppet.say("postponed", one, memory_bytes=123)
        await stage.settle()
        assert stage.puppet.told == [f"run {one}", f"run {other}"]
        await asyncio.sleep(0.1)
        assert len(stage.puppet.told) == 2  # the only slot is taken
        stage.finish(other)
        await stage.settle()
        assert stage.puppet.told[2:] == [f"run {one}"]
        assert stage.puppet.jobs[-1].memory_bytes == 123
        assert stage.fetched == [AUDIO]

    play(act)


def test_who_waits_for_memory_can_be_canceled(play: Play) -> None:
    async def act(stage: Stage) -> None:
        one, two = [await stage.create(input={"input_audio": AUDIO}) for _ in range(2)]
        await stage.begin(one)
        stage.puppet.say("postponed", one, memory_bytes=123)
        await stage.settle()
        await stage.predictions.cancel(one)
        await stage.begin(two)
        await stage.predictions.cancel(two)
        stage.puppet.say("postponed", two, memory_bytes=123)  # before it heard of the cancel
        await stage.settle()
        assert stage.folders() == []
        assert stage.predictions.counts() == {"waiting": 0, "active": 0}

    play(act)


def test_nothing_comes_after_an_end(play: Play) -> None:
    async def act(stage: Stage) -> None:
        one = await stage.create()
        await stage.begin(one)
        await stage.predictions.cancel(one)
        assert stage.puppet.told == [f"run {one}", f"cancel {one}"]
        stage.finish(one)
        stage.puppet.say("started", one)
        stage.puppet.say("progress", one, done=1, total=2)
        stage.puppet.say("failed", one, error="late")
        stage.expire(one)
        await stage.settle()
        assert stage.now(one).status == "canceled"
        assert stage.heard == [("start", "processing"), ("completed", "canceled")]
        assert stage.folders() == []

    play(act)


def test_a_deadline_ends_with_its_prediction(play: Play) -> None:
    async def act(stage: Stage) -> None:
        one = await stage.create(deadline=time.time() + 60)
        await stage.begin(one)
        stage.finish(one)
        await stage.settle()
        timers: Any = getattr(asyncio.get_running_loop(), "_scheduled", [])
        assert all(timer.cancelled() for timer in timers)

    play(act)


def test_the_worker_dies_before_it_lets_go_of_what_was_canceled(play: Play) -> None:
    async def act(stage: Stage) -> None:
        one, other = await stage.create(), await stage.create()
        await stage.begin(one)
        await stage.predictions.cancel(one)
        stage.puppet.die()
        await stage.settle()
        assert [folder.name for folder in stage.folders()] == [other]
        stage.puppet.ready()
        await stage.settle()
        assert stage.puppet.told == [f"run {one}", f"cancel {one}", f"run {other}"]

    play(act)


def test_it_is_canceled_after_the_worker_died(play: Play) -> None:
    async def act(stage: Stage) -> None:
        one = await stage.create()
        await stage.begin(one)
        stage.puppet.die()
        assert len(stage.folders()) == 1
        await stage.predictions.cancel(one)
        await stage.settle()
        assert stage.folders() == []
        stage.puppet.ready()
        await stage.settle()
        assert stage.puppet.told == [f"run {one}"]

    play(act)


def test_who_kills_workers_fails_and_who_ran_beside_it_does_not(play: Play) -> None:
    async def act(stage: Stage) -> None:
        ids = [await stage.create() for _ in range(5)]
        killer, innocents, last = ids[1], [ids[0], ids[2]], ids[3:]
        await stage.begin(*ids[:3])
        for _ in range(4):
            stage.puppet.die()
            stage.puppet.ready()
            await stage.settle()
            running = stage.puppet.jobs[-1].id
            if running == innocents[0]:
                await stage.begin(running)
                stage.finish(running)
                await stage.settle()
            assert stage.predictions.counts()["active"] == 1
            await stage.begin(stage.puppet.jobs[-1].id)
        assert stage.now(killer).status == "failed"
        assert "died 3 times" in str(stage.now(killer).error)
        assert stage.puppet.jobs[-1].id == innocents[1]
        stage.finish(innocents[1])
        await stage.settle()
        assert [job.id for job in stage.puppet.jobs[-2:]] == last  # side by side again
        assert [stage.now(one).status for one in innocents] == ["succeeded"] * 2
        assert [stage.now(one).attempts for one in innocents] == [0, 0]

    play(act, slots=3)


def test_who_is_canceled_does_not_fill_the_queue(play: Play) -> None:
    async def act(stage: Stage) -> None:
        await stage.begin(await stage.create())
        for _ in range(5):
            await stage.predictions.cancel(await stage.create())
        assert stage.predictions.counts() == {"waiting": 0, "active": 1}

    play(act, queue=1)


def test_logs_are_told_again_after_a_restart(play: Play) -> None:
    made: list[str] = []

    async def first(stage: Stage) -> None:
        made.append(await stage.create())
        await stage.begin(*made)

    async def second(stage: Stage) -> None:
        events = stage.predictions.events(stage.now(made[0]))
        assert events is not None
        assert b"Using seed" in await anext(events.frames())

    async def third(stage: Stage) -> None:
        await stage.begin(*made)
        assert stage.now(made[0]).logs.count("Using seed") == 1

    play(first)
    play(second)
    play(third)


def test_a_worker_of_the_last_start_writes_in_no_folder_of_this_one(
    play: Play, tmp_path: Path
) -> None:
    jobs: list[Job] = []

    async def act(stage: Stage) -> None:
        one = jobs[0].id if jobs else await stage.create()
        await stage.begin(one)
        jobs.append(stage.puppet.jobs[-1])
        assert Path(jobs[-1].folder).is_dir()

    play(act)
    late = Path(jobs[0].folder)
    assert not late.exists()
    late.mkdir(parents=True)  # as after a kill, which nothing is tidied up after
    play(act)
    assert jobs[0].id == jobs[1].id
    assert jobs[0].folder != jobs[1].folder
    assert list((tmp_path / "work").glob("*")) == []


def test_large_uploads_are_copied_beside_the_event_loop(play: Play) -> None:
    async def act(stage: Stage) -> None:
        free = threading.Event()

        def get(name: str, to: Path) -> None:
            assert free.wait(TIMEOUT_S), "the event loop waits for the copy"
            to.write_bytes(b"audio")

        stage.storage.get = get  # type: ignore[method-assign]
        fields: dict[str, Any] = {"name": "a", "content_type": "audio/wav", "size": 1}
        fields |= {"sha256": "", "md5": "", "metadata": {}, "created_at": 1.0, "expires_at": None}
        stage.store.add_file(StoredFile(id="upload", **fields))
        one = await stage.create(input={"input_audio": "http://x/v1/files/upload"})
        await asyncio.sleep(0.05)
        free.set()
        await stage.begin(one)

    play(act)


def test_large_outputs_are_read_beside_the_event_loop(serve: Serve) -> None:
    served, free = serve(output_urls="data"), threading.Event()
    made = served.create()
    served.until(made["id"])
    storage = served.app.state.parts.storage.blocking
    read = storage.read

    def slow(name: str) -> bytes:
        assert free.wait(TIMEOUT_S), "the event loop waits for the file"
        data: bytes = read(name)
        return data

    storage.read = slow
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(served.get(made["id"])))
    thread.start()
    assert served.client.get("/healthz").status_code == 200
    free.set()
    thread.join(TIMEOUT_S)
    assert answers[0]["output"].startswith("data:audio/wav;base64,")


def test_an_output_that_is_gone_is_shown_by_its_address(serve: Serve) -> None:
    served = serve(output_urls="data")
    made = served.until(served.create()["id"])
    assert made["output"].startswith("data:")
    row = served.app.state.parts.store.blocking.get(made["id"])
    served.app.state.parts.storage.blocking.remove(row.output)
    address = served.get(made["id"])["output"]
    assert address == f"{served.url}/{row.output}"
    assert served.client.get(address).status_code == 404
    assert "event: done" in served.client.get(made["urls"]["stream"]).text


def test_one_owner_cannot_fill_the_queue_with_what_is_being_created(play: Play) -> None:
    async def act(stage: Stage) -> None:
        free = threading.Event()
        put = stage.storage.put

        def put_late(name: str, source: Path) -> None:
            free.wait(TIMEOUT_S)
            put(name, source)

        stage.storage.put = put_late  # type: ignore[method-assign]
        audio = {"input": {"input_audio": data_uri(b"music")}}
        coming = [asyncio.create_task(stage.create(owner="a", **audio)) for _ in range(9)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError, match="your predictions"):
            await stage.create(owner="a")
        await stage.create(owner="b")
        free.set()
        assert len(await asyncio.gather(*coming)) == 9

    play(act, queue=10)
