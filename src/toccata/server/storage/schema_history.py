"""Bring a database to the newest schema with Alembic, from whatever revision it has.

A database from before toccata used Alembic has tables and no `alembic_version`: its columns show
its revision. All migrations of a start are one transaction, on SQLite as on PostgreSQL, so a server
that is killed meanwhile leaves the database as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection, Engine

from toccata.errors import InputError
from toccata.server.storage.lease import RENEW_INTERVAL_S, Lease

log = logging.getLogger(__name__)

SCRIPTS = "toccata.server.storage:migrations"
# The columns of `predictions` that each revision before Alembic added, oldest first.
COLUMNS_BEFORE_ALEMBIC: Mapping[str, frozenset[str]] = {
    "0001": frozenset(),
    "0002": frozenset({"more_outputs", "owed"}),
    "0003": frozenset({"owner", "fingerprint", "running_at", "quarantined"}),
    "0004": frozenset({"trace"}),
}
ADVISORY_LOCK = 7_072_656_841  # any number that no other program is likely to use
LOCK_TIMEOUT_S = 60


def upgrade(database: Engine, shown: str) -> None:
    """Create the schema of an empty database, or upgrade that of an older one.

    Args:
        database: The database; nothing is written if its schema is the newest one.
        shown: Its address as messages may show it.

    Raises:
        InputError: A newer toccata has upgraded it, or another server uses it while it is older.
        SQLAlchemyError: It does not answer, or refuses.
    """
    with database.connect() as connection:
        revision = _revision(connection)
    if revision == _newest():
        return
    _check_known(revision, shown)
    if revision is not None:
        # An older server would fail on a schema that it does not know.
        Lease("").wait(database, shown, 1.5 * RENEW_INTERVAL_S)
    with database.begin() as connection:
        _lock(connection)
        revision = _revision(connection)  # another server may have been faster
        _check_known(revision, shown)
        _upgrade(connection, revision)


def _upgrade(connection: Connection, revision: str | None) -> None:
    config = config_of(connection)
    if revision is not None and not _is_stamped(connection):
        command.stamp(config, revision)
    command.upgrade(config, "head")
    if revision not in (None, _newest()):
        log.info("the schema of the database is upgraded from %s to %s", revision, _newest())


def _revision(connection: Connection) -> str | None:
    """The revision of a database; None if it is empty."""
    if _is_stamped(connection):
        return MigrationContext.configure(connection).get_current_revision()
    inspector = inspect(connection)
    if not inspector.has_table("predictions"):
        return None
    columns = {column["name"] for column in inspector.get_columns("predictions")}
    found = "0001"
    for revision, added in COLUMNS_BEFORE_ALEMBIC.items():
        if not added <= columns:
            break
        found = revision
    return found


def _is_stamped(connection: Connection) -> bool:
    return inspect(connection).has_table("alembic_version")


def _check_known(revision: str | None, shown: str) -> None:
    known = [script.revision for script in _scripts().walk_revisions()]
    if revision is not None and revision not in known:
        problem = f"{shown} has schema revision {revision}; this toccata knows up to {known[0]}"
        cure = "start the newer toccata that upgraded it, or give another database"
        raise InputError("database", shown, cure, problem)


def _lock(connection: Connection) -> None:
    """Keep other servers from upgrading until the transaction ends, and take the time it needs."""
    if connection.dialect.name == "sqlite":  # where a schema change begins no transaction
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'"))
    connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))


def _newest() -> str | None:
    return _scripts().get_current_head()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def config_of(connection: Connection) -> Config:
    """The configuration for commands of Alembic on a connection, whose transaction they join."""
    config = _config()
    config.attributes["connection"] = connection
    return config


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    return config
