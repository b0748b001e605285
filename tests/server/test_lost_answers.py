"""The database does not answer, or does what it is asked and cannot say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.server.puppet import Play, Stage
from toccata.server.storage.lease import SupersededError
from toccata.server.storage.repository import Repository, RepositoryError


def test_the_database_does_not_answer_for_a_while(play: Play) -> None:
    async def act(stage: Stage) -> None:
        one, other = await stage.create(), await stage.create()
        await stage.begin(one)
        with unanswered(stage.store):
            stage.puppet.say("progress", one, done=1, total=2)
            stage.finish(one)
            await stage.settle()
        assert stage.now(one).status == "processing"
        await stage.settle()
        assert stage.now(one).status == "succeeded"
        assert stage.puppet.told == [f"run {one}", f"run {other}"]

    play(act)


def test_audio_waits_for_the_database(play: Play) -> None:
    async def act(stage: Stage) -> None:
        with unanswered(stage.store):
            one = await stage.create(input={"input_audio": "http://x/v1/files/unknown"})
            await stage.settle()
            assert stage.fetched == []
        await stage.settle()
        assert stage.puppet.told == [f"run {one}"]

    play(act)


def test_the_database_did_it_and_could_not_say_so(play: Play) -> None:
    async def act(stage: Stage) -> None:
        one = await stage.create()
        await stage.begin(one)
        with mute(stage.store):
            stage.finish(one)
            await stage.settle()
        assert stage.now(one).status == "succeeded"
        assert stage.storage.read(str(stage.now(one).output)) == b"music"
        assert stage.heard == [("start", "processing"), ("completed", "succeeded")]
        assert stage.predictions.events(stage.now(one)) is None

    play(act)


@pytest.mark.parametrize("begun", [True, False])
def test_it_was_canceled_and_the_database_could_not_say_so(play: Play, begun: bool) -> None:
    async def act(stage: Stage) -> None:
        one = await stage.create()
        if begun:
            await stage.begin(one)
        with mute(stage.store), pytest.raises(RepositoryError):
            await stage.predictions.cancel(one)
        await stage.settle()
        if begun:
            stage.finish(one)
        elif f"cancel {one}" in stage.puppet.told:
            stage.puppet.say("canceled", one)
        await stage.settle()
        assert stage.now(one).status == "canceled"
        assert stage.heard[-1] == ("completed", "canceled")
        assert stage.predictions.events(stage.now(one)) is None
        assert stage.folders() == []
        with pytest.raises(FileNotFoundError):
            stage.storage.size(f"outputs/{stage.now(one).key}/out.wav")

    play(act)


def test_an_end_that_another_server_noted_is_not_told(play: Play, tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        stage.store.claim("folder")
        one, two = await stage.create(), await stage.create()
        await stage.begin(one, two)
        with closing(Repository(f"sqlite:///{tmp_path / 'server.db'}")) as other:
            other.claim("folder")
            for name in (one, two):
                other.change(name, status="succeeded", completed_at=1.0)
        told = list(stage.heard)
        stage.finish(one)
        await stage.settle()
        with pytest.raises(SupersededError):
            await stage.predictions.cancel(two)
        assert stage.heard == told

    play(act, slots=2)


def test_an_id_that_was_refused_is_free_again(play: Play) -> None:
    async def act(stage: Stage) -> None:
        with mute(stage.store, "add"), pytest.raises(RepositoryError):
            await stage.create(id="mine")
        with pytest.raises(RepositoryError):
            await stage.predictions.known("mine")
        await stage.settle()
        assert await stage.predictions.known("mine") is None
        assert await stage.create(id="mine") == "mine"
        await stage.settle()
        assert stage.puppet.told == ["run mine"]

    play(act)


@contextmanager
def mute(store: Repository, name: str = "change") -> Iterator[None]:
    """The next change is made, but its answer is lost."""
    calls: Any = store

    def call(*arguments: Any, **values: Any) -> None:
        delattr(calls, name)
        getattr(store, name)(*arguments, **values)
        raise RepositoryError("the connection is gone")

    setattr(calls, name, call)
    yield


def test_a_deadline_passes_while_the_database_does_not_answer(play: Play) -> None:
    async def act(stage: Stage) -> None:
        one = await stage.create()
        await stage.begin(one)
        with unanswered(stage.store):
            stage.expire(one)
            await stage.settle()
        await stage.settle()
        assert stage.now(one).status == "canceled"

    play(act)


@contextmanager
def unanswered(store: Repository) -> Iterator[None]:
    def fail(*_: Any, **__: Any) -> None:
        raise RepositoryError("it does not answer")

    calls: Any = store
    names = ("get", "change", "add_logs", "file")
    for name in names:
        setattr(calls, name, fail)
    yield
    for name in names:
        delattr(calls, name)
