"""Databases of earlier versions, opened by this one; the same in SQLite and in PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError

from tests.server.conftest import Serve
from tests.server.old_databases import ADDED, REVISIONS, SECRET, create_old_database, engine_of
from toccata.errors import InputError
from toccata.server.storage import lease, schema_history
from toccata.server.storage.repository import Repository
from toccata.server.storage.tables import METADATA

HEAD = "0005"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'server.db'}"
    database: str = request.getfixturevalue("database")
    return database


def execute(url: str, *statements: str) -> None:
    """Run statements as somebody else would who has the database."""
    engine = engine_of(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def revision_of(url: str) -> str:
    """The revision that Alembic noted."""
    engine = engine_of(url)
    with engine.begin() as connection:
        found = str(connection.scalar(text("SELECT version_num FROM alembic_version")))
    engine.dispose()
    return found


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_server_lists_what_an_older_one_kept(url: str, revision: str, serve: Serve) -> None:
    create_old_database(url, revision)
    served = serve(database=url)
    listed = served.client.get("/v1/predictions").json()["results"]
    assert [one["id"] for one in listed] == ["two", "one"]
    ended = served.client.get("/v1/predictions/one").json()
    assert (ended["status"], ended["input"]["prompt"]) == ("succeeded", "世界")
    assert served.until("two")["status"] in ("succeeded", "failed")  # it is made now
    assert served.client.get("/v1/files/file").json()["name"] == "a.wav"
    assert revision_of(url) == HEAD


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_value_survives(url: str, revision: str) -> None:
    row = create_old_database(url, revision)
    with closing(Repository(url)) as store:
        found = store.get("one")
        assert found is not None
        pending = row.pop("owed", None)
        for name, value in row.items():
            kept = getattr(found, name)
            assert (str(kept) if name == "seed" else kept) == (
                tuple(value) if name == "webhook_events" else value
            )
        assert found.webhook_pending is pending
        assert [one.id for one in store.undelivered()] == (["one"] if pending else [])
        opened = store.get("two")
        assert opened is not None
        assert opened.logs == ("100%\n10%\n" if revision >= "0003" else "100%\n")
        assert store.own("webhook_secret", lambda: "another") == SECRET
        assert [file.metadata for file in store.files(9)] == [{"take": 1}]


@pytest.mark.parametrize("column", [name for added in ADDED.values() for name in added])
def test_a_database_between_two_revisions_gets_the_columns_it_lacks(url: str, column: str) -> None:
    """A server that was killed while it added columns one by one left such a database."""
    create_old_database(url, "0004")
    execute(url, f"ALTER TABLE predictions DROP COLUMN {column}")
    with closing(Repository(url)) as store:
        changed = store.change("two", more_outputs=["outputs/c"], webhook_pending=True, owner="me")
        assert changed is not None
        assert (changed.more_outputs, changed.webhook_pending) == (["outputs/c"], True)


@pytest.mark.parametrize("revision", [None, *REVISIONS])
def test_migrations_lead_to_the_tables_of_the_code(url: str, revision: str | None) -> None:
    if revision is not None:
        create_old_database(url, revision)
    Repository(url).close()
    engine = engine_of(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        indexes = inspect(connection).get_indexes("prediction_logs")
    engine.dispose()
    assert [index["name"] for index in indexes] == ["logs_by_prediction"]


def test_every_migration_can_be_undone(url: str) -> None:
    Repository(url).close()
    engine = engine_of(url)
    with engine.begin() as connection:
        config = schema_history.config_of(connection)
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
        command.upgrade(config, "head")
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(url: str) -> None:
    Repository(url).close()
    execute(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(InputError, match=r"revision 9999.* up to 0005; start the newer toccata"):
        Repository(url)
    assert revision_of(url) == "9999"


def test_a_database_that_an_older_server_uses_is_refused_and_left_alone(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_old_database(url, "0004")
    execute(url, "INSERT INTO own VALUES ('owner', 'a b'), ('owner_beat', '0')")

    def renew(_: float) -> None:
        execute(url, "UPDATE own SET value = value || '1' WHERE name = 'owner_beat'")

    monkeypatch.setattr("time.sleep", renew)
    with pytest.raises(InputError, match="another server uses it"):
        Repository(url)
    engine = engine_of(url)
    assert not inspect(engine).has_table("alembic_version")
    engine.dispose()


def test_a_database_of_an_older_server_that_died_is_upgraded(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_old_database(url, "0004")
    execute(url, "INSERT INTO own VALUES ('owner', 'a b'), ('owner_beat', '0')")
    monkeypatch.setattr(schema_history, "RENEW_INTERVAL_S", 0.1)
    monkeypatch.setattr(lease, "POLL_INTERVAL_S", 0.02)
    with closing(Repository(url)) as store:
        assert len(store.page(9)) == 2


def test_a_migration_that_fails_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create_old_database(url, "0001")
    upgrade: Callable[..., Any] = command.upgrade

    def fail(config: Any, revision: str) -> None:
        upgrade(config, "0003")
        raise OperationalError("", {}, Exception("no space left"))

    monkeypatch.setattr(command, "upgrade", fail)
    with pytest.raises(InputError, match="no space left"):
        Repository(url)
    monkeypatch.undo()
    engine = engine_of(url)
    found = inspect(engine)
    assert not found.has_table("alembic_version")
    assert not found.has_table("prediction_logs")
    assert "owner" not in {column["name"] for column in found.get_columns("predictions")}
    engine.dispose()
    with closing(Repository(url)) as store:
        assert len(store.page(9)) == 2


OPEN_AND_COUNT = """
import sys
from toccata.server.storage.repository import Repository
print(len(Repository(sys.argv[1]).page(9)))
"""


@pytest.mark.parametrize("revision", [None, "0001"])
def test_servers_that_start_at_once_upgrade_once(url: str, revision: str | None) -> None:
    if revision is not None:
        create_old_database(url, revision)
    command_line = [sys.executable, "-c", OPEN_AND_COUNT, url]
    with ExitStack() as stack:
        started = [
            stack.enter_context(Popen(command_line, stdout=PIPE))  # noqa: S603
            for _ in range(3)
        ]
        counts = [int(one.communicate()[0]) for one in started]
    assert counts == [0 if revision is None else 2] * 3
    assert revision_of(url) == HEAD
