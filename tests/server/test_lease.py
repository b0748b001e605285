"""Which server has a database, and that another one changes nothing in it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.server.test_repository import prediction
from toccata.errors import InputError
from toccata.server.storage import lease
from toccata.server.storage.lease import SupersededError
from toccata.server.storage.repository import FAILED, Repository


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'server.db'}"
    database: str = request.getfixturevalue("database")
    return database


@pytest.fixture
def both(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Repository, Repository]]:
    monkeypatch.setattr(lease, "LEASE_S", 0.3)
    monkeypatch.setattr(lease, "POLL_INTERVAL_S", 0.02)
    with closing(Repository(url)) as one, closing(Repository(url)) as other:
        yield one, other


def test_the_first_server_is_alone(both: tuple[Repository, Repository]) -> None:
    one, other = both
    assert not one.claim("a").crashed
    one.add(prediction("x"))
    one.release()
    assert not other.claim("b").crashed


def test_who_does_not_renew_is_replaced_and_changes_nothing(
    both: tuple[Repository, Repository],
) -> None:
    one, other = both
    one.claim("a")
    one.add(prediction("x"))
    assert other.claim("b").crashed
    for write in (
        lambda: one.add(prediction("y")),
        lambda: one.change("x", status=FAILED),
        lambda: one.add_logs("x", "late"),
        lambda: one.forget("x"),
        one.renew,
    ):
        with pytest.raises(SupersededError):
            write()
    one.release()  # of what it does not have
    other.renew()
    found = other.get("x")
    assert found is not None
    assert (found.ended, found.logs) == (False, "")
    assert other.get("y") is None


def test_who_renews_is_not_replaced(
    both: tuple[Repository, Repository], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = both
    one.claim("a")
    monkeypatch.setattr("time.sleep", lambda _: one.renew())
    with pytest.raises(InputError, match="another server uses it"):
        other.claim("b")
    one.add(prediction("x"))


def test_a_server_of_the_same_folder_need_not_wait(
    both: tuple[Repository, Repository], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = both
    one.claim("a")
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it waits"))
    assert other.claim("a").crashed
    with pytest.raises(SupersededError):
        one.add(prediction("x"))


def test_nobody_takes_over_in_the_middle_of_a_write(both: tuple[Repository, Repository]) -> None:
    one, other = both
    one.claim("a")
    with ThreadPoolExecutor(1) as threads:
        with one._writing():
            taken = threads.submit(other.claim, "a")
            with pytest.raises(TimeoutError):
                taken.result(0.5)
        assert taken.result(10).crashed


def test_a_look_before_the_start_takes_nothing(both: tuple[Repository, Repository]) -> None:
    one, other = both
    one.claim("a")
    other.check_claim("a")
    one.add(prediction("x"))
    assert other.claim("a").crashed


def test_a_look_finds_a_server_that_lives(
    both: tuple[Repository, Repository], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = both
    one.claim("a")
    monkeypatch.setattr("time.sleep", lambda _: one.renew())
    with pytest.raises(InputError, match="another server uses it"):
        other.check_claim("b")
