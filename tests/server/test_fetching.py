"""What may happen while the audio of a prediction is fetched; the worker here is a puppet."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.server.conftest import TIMEOUT_S, Serve
from tests.server.puppet import AUDIO, Play, Stage
from toccata.audio.audio_input import AudioPart
from toccata.errors import AudioError
from toccata.server.predictions.queue import MAX_FETCHES_PER_OWNER


def test_the_worker_dies_while_audio_is_brought(play: Play) -> None:
    async def act(stage: Stage) -> None:
        stage.hold.clear()
        one = await stage.create(input={"input_audio": AUDIO})
        await stage.settle()
        stage.puppet.die()
        stage.puppet.ready()
        await stage.settle()
        stage.hold.set()
        await stage.settle()
        assert stage.puppet.told == [f"run {one}"]
        assert stage.fetched == [AUDIO]
        assert stage.now(one).attempts == 0

    play(act)


def test_audio_of_what_was_canceled_is_brought_no_further(play: Play) -> None:
    """It would count for nobody, so that no limit of the queue would apply."""

    async def act(stage: Stage) -> None:
        stage.hold.clear()
        for _ in range(3):
            one = await stage.create(input={"input_audio": AUDIO})
            await stage.settle()
            assert stage.fetching == 1
            await stage.predictions.cancel(one)
            await stage.settle()
            assert stage.fetching == 0
            assert stage.folders() == []
        stage.hold.set()
        other = await stage.create(input={"input_audio": AUDIO})
        await stage.settle()
        assert stage.puppet.told == [f"run {other}"]

    play(act)


def test_audio_arrives_while_there_is_no_worker(play: Play) -> None:
    async def act(stage: Stage) -> None:
        stage.hold.clear()
        one = await stage.create(input={"input_audio": AUDIO})
        await stage.settle()
        stage.puppet.die()
        stage.hold.set()
        await stage.settle()
        other = await stage.create()
        await stage.settle()
        assert stage.puppet.told == []
        stage.puppet.ready()
        await stage.settle()
        assert stage.puppet.told == [f"run {one}"]
        stage.finish(one)
        await stage.settle()
        assert stage.puppet.told == [f"run {one}", f"run {other}"]
        assert stage.fetched == [AUDIO]

    play(act)


def test_another_worker_is_told_the_same_without_bringing_audio_again(play: Play) -> None:
    async def act(stage: Stage) -> None:
        one = await stage.create(input={"input_audio": AUDIO})
        await stage.begin(one)
        stage.puppet.die()
        stage.failure = AudioError("it is gone by now")
        stage.puppet.ready()
        await stage.settle()
        assert len(stage.puppet.jobs) == 2
        assert stage.puppet.jobs[0] == stage.puppet.jobs[1]
        part = stage.puppet.jobs[1].request.audio
        assert isinstance(part, AudioPart)
        assert Path(part.file).read_bytes() == b"audio"

    play(act)


@pytest.mark.parametrize("by", ["cancel", "deadline"])
def test_it_ends_while_audio_is_brought(play: Play, by: str) -> None:
    async def act(stage: Stage) -> None:
        stage.hold.clear()
        deadline = time.time() if by == "deadline" else None
        one, other = (
            await stage.create(input={"input_audio": AUDIO}, deadline=deadline),
            await stage.create(),
        )
        await stage.settle()
        if by == "cancel":
            await stage.predictions.cancel(one)
        stage.hold.set()
        await stage.settle()
        assert stage.now(one).status == ("canceled" if by == "cancel" else "aborted")
        assert stage.puppet.told == [f"run {other}"]
        assert [folder.name for folder in stage.folders()] == [other]
        assert len(stage.heard) == 1

    play(act)


def test_no_audio_is_fetched_for_what_has_ended(play: Play) -> None:
    """A client that cancels what it has created fetches no more at once than any other."""

    async def act(stage: Stage) -> None:
        stage.hold.clear()
        for _ in range(3 * MAX_FETCHES_PER_OWNER):
            one = await stage.create(input={"input_audio": AUDIO})
            await stage.predictions.cancel(one)
        waiting = [await stage.create(input={"input_audio": AUDIO}) for _ in range(2)]
        await stage.settle()
        assert stage.fetching == len(waiting)
        stage.hold.set()
        await stage.settle()
        assert stage.puppet.told == [f"run {one}" for one in waiting]
        assert {folder.name for folder in stage.folders()} == set(waiting)

    play(act, slots=2)


def test_one_that_ends_lets_the_next_be_fetched(play: Play) -> None:
    async def act(stage: Stage) -> None:
        stage.hold.clear()
        many = [
            await stage.create(input={"input_audio": AUDIO})
            for _ in range(MAX_FETCHES_PER_OWNER + 1)
        ]
        await stage.settle()
        assert len(stage.fetched) == MAX_FETCHES_PER_OWNER
        await stage.predictions.cancel(many[0])
        await stage.settle()
        assert len(stage.fetched) == len(many)
        assert stage.fetching == MAX_FETCHES_PER_OWNER

    play(act, queue=50)


def test_the_connection_of_a_fetch_ends_with_its_prediction(serve: Serve) -> None:
    served = serve(allow_private=True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(TIMEOUT_S)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/song.wav"
        made = served.create(input_audio=url)
        with silent.accept()[0] as connection:
            connection.settimeout(TIMEOUT_S)
            assert connection.recv(2**16).startswith(b"GET /song.wav")
            served.client.post(f"/v1/predictions/{made['id']}/cancel")
            assert connection.recv(2**16) == b""


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (AudioError("no audio"), "no audio"),
        (OSError("no such device"), "no such device"),
        (KeyError("oops"), "internal error: KeyError; the log of the server has details"),
    ],
)
def test_audio_cannot_be_brought(play: Play, failure: Exception, told: str) -> None:
    async def act(stage: Stage) -> None:
        stage.failure = failure
        one, other = await stage.create(input={"input_audio": AUDIO}), await stage.create()
        await stage.settle()
        assert stage.now(one).status == "failed"
        assert stage.now(one).error == told
        assert stage.puppet.told == [f"run {other}"]

    play(act)
