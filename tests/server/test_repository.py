"""What the server remembers, the same in SQLite and in PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from toccata.server.storage.repository import (
    CANCELED,
    FAILED,
    PROCESSING,
    STARTING,
    SUCCEEDED,
    Prediction,
    Repository,
    RepositoryError,
    StoredFile,
)

# Every plane of Unicode, quotes, escapes, and what looks like SQL.
TEXT = "Grüße, 世界 \U0001f3b9 \"'\\ \t%s :name\n'); DROP TABLE predictions; --"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'server.db'}"
    database: str = request.getfixturevalue("database")
    return database


@pytest.fixture
def store(url: str) -> Iterator[Repository]:
    opened = Repository(url)
    yield opened
    opened.close()


def prediction(name: str = "one", **values: Any) -> Prediction:
    fields: dict[str, Any] = {
        "id": name,
        "created_at": 1e9 + 0.123456,
        "status": STARTING,
        "model": "meta/musicgen",
        "version": "f" * 64,
        "input": {"prompt": "piano", "duration": 8},
        "seed": 7,
        "key": f"key-of-{name}",
        "base": "http://127.0.0.1:5000",
    }
    return Prediction(**{**fields, **values})


def file(file_id: str, **values: Any) -> StoredFile:
    fields: dict[str, Any] = {
        "id": file_id,
        "created_at": 1e9,
        "expires_at": 2e9,
        "name": TEXT,
        "content_type": "audio/wav",
        "size": 100 * 2**20,
        "sha256": "0" * 64,
        "md5": "0" * 32,
        "metadata": {"deep": [{"er": None}], TEXT: TEXT},
    }
    return StoredFile(**{**fields, **values})


def test_a_prediction_is_kept_as_it_is(store: Repository) -> None:
    full = prediction(
        status=PROCESSING,
        started_at=1e9 + 1 / 3,
        completed_at=1e9 + 2 / 3,
        deadline=2e9,
        input={"prompt": TEXT, "temperature": 1 / 3, "nothing": None, "list": [1, True, "x"]},
        base=TEXT,
        output="outputs/key/out.wav",
        error=TEXT,
        logs=TEXT * 1000,
        metrics={"predict_time": 0.1 + 0.2, TEXT: 1e-300},
        webhook=f"https://example.org/{TEXT}",
        webhook_events=("start", "completed"),
        as_data=True,
        attempts=2,
        data_removed=True,
    )
    store.add(full)
    assert store.get("one") == full
    assert store.by_key("key-of-one") == full


def test_what_is_not_there(store: Repository) -> None:
    store.add(prediction())
    for name in ("", "ONE", "one ", "key-of-ONE", "x" * 1000, "one\0", "\ud800"):
        assert store.get(name) is None
        assert store.by_key(name) is None
        assert store.file(name) is None
        assert not store.remove_file(name)
    assert store.change("nobody", status=FAILED) is None
    assert not store.add_logs("nobody", "x")


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 - 1, 2**53 + 1, 2**63 - 1])
def test_seeds_are_exact(store: Repository, seed: int) -> None:
    store.add(prediction(seed=seed, input={"seed": seed}))
    found = store.get("one")
    assert found is not None
    assert (found.seed, found.input["seed"]) == (seed, seed)


def test_no_text_breaks_a_row(store: Repository) -> None:
    """Nothing in a request may, since it might be one that was accepted already."""
    odd = "\0 \ud800 \udfff \x1b \uffff"
    store.add(prediction(input={"prompt": odd, odd: odd}, error=odd, logs=odd, base=odd))
    store.add_file(file("odd", name=odd, metadata={odd: odd}))
    found, kept = store.get("one"), store.file("odd")
    assert found is not None
    assert found.input == {"prompt": odd, odd: odd}
    assert found.error == found.logs == "\ufffd ? ? \x1b \uffff"
    assert kept is not None
    assert (kept.name, kept.metadata) == (found.error, {odd: odd})
    changed = store.change("one", error=f"{odd}!")
    assert changed is not None
    assert changed.error == f"{found.error}!"


def test_an_id_and_a_key_are_used_once(store: Repository) -> None:
    store.add(prediction())
    for other in (prediction(key="other"), prediction("two", key="key-of-one")):
        with pytest.raises(RepositoryError):
            store.add(other)
    assert [one.id for one in store.page(10)] == ["one"]


def test_it_changes_while_it_is_open_and_never_again(store: Repository) -> None:
    store.add(prediction())
    begun = store.change("one", status=PROCESSING, started_at=2e9)
    assert begun == replace(prediction(), status=PROCESSING, started_at=2e9)
    assert store.add_logs("one", "a\n")
    assert store.add_logs("one", "b %s\n")
    ended = store.change("one", status=SUCCEEDED, output="outputs/x", metrics={"total": 1.5})
    assert ended is not None
    assert (ended.ended, ended.logs, ended.metrics) == (True, "a\nb %s\n", {"total": 1.5})
    assert store.change("one", status=CANCELED) is None
    assert not store.add_logs("one", "c\n")
    assert store.get("one") == ended


def test_open_ones_come_in_the_order_of_their_creation(store: Repository) -> None:
    for name, created_at in (("b", 3.0), ("c", 1.0), ("a", 3.0), ("ended", 0.0)):
        store.add(prediction(name, created_at=created_at))
    store.change("ended", status=SUCCEEDED)
    store.change("a", status=PROCESSING)
    assert [one.id for one in store.open_ones()] == ["c", "a", "b"]


def test_pages_go_on_from_a_cursor_without_gaps(store: Repository) -> None:
    """Some were created at the same time, and times differ by as little as floats can."""
    times = [1e9, 1e9, 1e9, 1e9 + 2**-23, 1e9 + 2**-22, 1e9 + 0.1, 1e9 + 0.1, 2e9]
    for number, created_at in enumerate(times):
        store.add(prediction(f"p{number}", created_at=created_at))
    seen: list[str] = []
    cursor: tuple[float, str] | None = None
    while page := store.page(3, cursor):
        seen += [one.id for one in page]
        cursor = (page[-1].created_at, page[-1].id)
    assert seen == [f"p{number}" for number in reversed(range(len(times)))]
    store.add(prediction("later", created_at=3e9))
    assert [one.id for one in store.page(2, (1e9, "p1"))] == ["p0"]
    assert store.page(3, (1e9, "p0")) == []
    assert store.page(3, (0.0, "\0")) == []


def test_pages_of_a_time(store: Repository) -> None:
    for number in range(5):
        store.add(prediction(f"p{number}", created_at=float(number)))
    found = store.page(10, created_after=1.0, created_before=4.0)
    assert [one.id for one in found] == ["p3", "p2", "p1"]
    assert [one.id for one in store.page(1, created_after=1.0)] == ["p4"]


def test_what_ended_long_ago_is_forgotten(store: Repository) -> None:
    for name in ("old", "new", "open"):
        store.add(prediction(name, logs=TEXT))
    private = {
        "output": "outputs/x/out.wav",
        "output_prefix": "https://x",
        "delivered": "https://y",
    }
    store.change("old", status=SUCCEEDED, completed_at=100.0, **private)
    store.change("new", status=SUCCEEDED, completed_at=200.0, output="outputs/y/out.wav")
    assert [one.id for one in store.ended_before(200.0)] == ["old"]
    store.forget("old")
    assert store.ended_before(200.0) == []
    old, new, still_open = (store.get(name) for name in ("old", "new", "open"))
    assert old is not None
    assert (old.input, old.logs, old.output, old.data_removed) == ({}, "", None, True)
    assert (old.delivered, old.output_prefix, old.status) == (None, None, SUCCEEDED)
    assert new is not None
    assert (new.output, new.logs, new.data_removed) == ("outputs/y/out.wav", TEXT, False)
    assert still_open is not None
    assert still_open.logs == TEXT


def test_files(store: Repository) -> None:
    first, second = file("first", expires_at=100.0), file("second", created_at=1.1e9)
    for one in (first, second, file("for ever", created_at=1.0, expires_at=None)):
        store.add_file(one)
    assert store.file("first") == first
    assert [one.id for one in store.files(2)] == ["second", "first"]
    assert store.expired_files(100.0) == []
    assert store.expired_files(101.0) == ["first"]
    assert store.remove_file("first")
    assert not store.remove_file("first")
    assert store.file("first") is None
    assert store.expired_files(1e12) == ["second"]


def test_everything_is_there_after_a_restart(url: str) -> None:
    before = Repository(url)
    before.add(prediction())
    made = before.own("secret", lambda: TEXT)
    before.close()
    after = Repository(url)
    assert after.get("one") == prediction()
    assert after.own("secret", lambda: "another") == made == TEXT
    after.close()


def test_an_own_value_is_made_once_even_by_many_at_once(store: Repository) -> None:
    numbers, together = count(), threading.Barrier(8)

    def ask(_: int) -> str:
        together.wait()
        return store.own("secret", lambda: f"made {next(numbers)}")

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(8)))
    assert len(answers) == 1
    assert store.own("secret", lambda: "another") in answers


def test_of_many_ends_at_once_one_wins(store: Repository) -> None:
    for number in range(10):
        store.add(prediction(f"p{number}"))

    def end(number: int) -> bool:
        ended = store.change(f"p{number % 10}", status=SUCCEEDED, output=f"outputs/{number}")
        return ended is not None and ended.output == f"outputs/{number}"

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(end, range(80)))
    assert sum(won) == 10
    assert {one.output for one in store.page(10)} == {
        f"outputs/{number}" for number, yes in enumerate(won) if yes
    }


def test_no_change_is_lost_among_many_at_once(store: Repository) -> None:
    store.add(prediction())
    with ThreadPoolExecutor(8) as threads:
        lines = [f"{number}\n" for number in range(100)]
        assert all(threads.map(lambda line: store.add_logs("one", line), lines))
    found = store.get("one")
    assert found is not None
    assert sorted(found.logs.splitlines(keepends=True)) == sorted(lines)


def test_a_long_prediction_is_kept(store: Repository) -> None:
    """A data URI may be in the input."""
    audio = "data:audio/wav;base64," + "A" * 5_000_000
    store.add(prediction(input={"input_audio": audio}))
    found = store.get("one")
    assert found is not None
    assert found.input["input_audio"] == audio


def test_pending_webhooks_are_known_until_they_are_delivered(store: Repository) -> None:
    for name, pending in (("one", True), ("two", True), ("three", False)):
        store.add(prediction(name))
        store.change(name, status=SUCCEEDED, webhook_pending=pending)
    assert [one.id for one in store.undelivered()] == ["one", "two"]
    store.mark_delivered("one")
    assert [one.id for one in store.undelivered()] == ["two"]
