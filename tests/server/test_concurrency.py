"""Those of one owner or host leave room for those of others."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import pytest

from toccata.server.concurrency import (
    BlockingCalls,
    ConcurrencyLimit,
    FairThreads,
    Shares,
    set_client,
)


class LateError(Exception):
    """The time of a call is over."""


def test_one_key_leaves_room_for_others_and_all_have_their_turn() -> None:
    limit, began = ConcurrencyLimit(total=3, per_key=2), list[str]()

    async def run(key: str, done: asyncio.Event) -> None:
        async with limit.of(key):
            began.append(key)
            await done.wait()

    async def act() -> None:
        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for key in "aaaabc":
                tasks.create_task(run(key, done))
            for _ in range(20):
                await asyncio.sleep(0)
            assert began == ["a", "a", "b"]
            done.set()
        assert sorted(began) == list("aaaabc")

    asyncio.run(act())


def test_who_gives_up_waiting_takes_no_room() -> None:
    limit = ConcurrencyLimit(total=1, per_key=1)

    async def act() -> None:
        async with limit.of("a"):
            try:
                async with asyncio.timeout(0.01), limit.of("b"):
                    raise AssertionError("there was no room")
            except TimeoutError:
                pass
        async with asyncio.timeout(10), limit.of("b"):
            pass

    asyncio.run(act())


@pytest.mark.parametrize("steps", range(4))
@pytest.mark.parametrize("canceled", ["who leaves", "who is woken"])
def test_who_is_canceled_holds_up_nobody(canceled: str, steps: int) -> None:
    limit, began = ConcurrencyLimit(total=2, per_key=2), list[str]()

    async def run(name: str, done: asyncio.Event) -> None:
        async with limit.of("a"):
            began.append(name)
            await done.wait()

    async def act() -> None:
        first, rest = asyncio.Event(), asyncio.Event()
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            leaving = [tasks.create_task(run(f"first {one}", first)) for one in range(2)]
            waiting = [tasks.create_task(run(f"next {one}", rest)) for one in range(4)]
            await turns(10)
            first.set()
            await turns(steps)
            (leaving[1] if canceled == "who leaves" else waiting[0]).cancel()
            await turns(20)
            rest.set()
        assert set(began) >= {"next 1", "next 2", "next 3"}

    asyncio.run(act())


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_becomes_free_goes_to_whoever_has_the_least() -> None:
    limit, began = ConcurrencyLimit(total=2, per_key=2), list[str]()

    async def run(key: str, done: asyncio.Event) -> None:
        async with limit.of(key):
            began.append(key)
            await done.wait()

    async def act() -> None:
        first, rest = asyncio.Event(), asyncio.Event()
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            for number, key in enumerate(["a"] * 10 + ["b"]):
                tasks.create_task(run(key, rest if number else first))
            await turns(20)
            assert began == ["a", "a"]
            first.set()
            await turns(20)
            assert began == ["a", "a", "b"]
            rest.set()

    asyncio.run(act())


def test_who_takes_all_it_can_leaves_something_to_others() -> None:
    shares = Shares(8)

    def taken(client: str) -> int:
        return sum(shares.acquire(client) for _ in range(20))

    assert [taken(client) for client in "abc"] == [4, 2, 1]
    assert not shares.acquire("a")
    assert shares.acquire("d")
    assert not shares.acquire("e")
    for _ in range(4):
        shares.release("a")
    assert shares.acquire("e")


def test_a_call_that_hangs_counts_until_it_returns() -> None:
    threads, hangs = FairThreads("test", total=2, per_key=1), threading.Event()

    async def act() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await threads.run("a", hangs.wait)
        again = asyncio.create_task(threads.run("a", lambda: "again"))
        async with asyncio.timeout(10):
            assert await threads.run("b", lambda: "other") == "other"
            assert not again.done()
            hangs.set()
            assert await again == "again"

    asyncio.run(act())


def test_one_client_has_half_of_the_threads_of_a_dependency() -> None:
    calls, hangs = BlockingCalls("test", 4, 10.0, LateError), threading.Event()

    async def hang(client: str) -> None:
        set_client(client)
        await calls.run(hangs.wait)

    async def act() -> None:
        tasks = [asyncio.create_task(hang("a")) for _ in range(50)]
        await asyncio.sleep(0)
        set_client("b")
        assert await calls.run(lambda: "other") == "other"
        hangs.set()
        await asyncio.gather(*tasks)

    asyncio.run(act())


def test_a_call_waits_for_a_late_one_of_its_name() -> None:
    calls, hangs = BlockingCalls("test", 4, 0.05, LateError), threading.Event()
    done: list[str] = []

    def put() -> None:
        hangs.wait()
        done.append("put")

    async def act() -> None:
        for _ in range(2):  # the second one is given up before it begins
            with pytest.raises(LateError):
                await calls.run_alone("file", put)
        await calls.run_alone("other", done.append, "other")
        with pytest.raises(LateError):
            await calls.run_alone("file", done.append, "too soon")
        hangs.set()
        await calls.run_alone("file", done.append, "remove")

    asyncio.run(act())
    assert done == ["other", "put", "remove"]
